/* search_impl.h - what the files of `thaw search` share: candidates of successive halving and what became of them. */
#ifndef THAW_LADDER_SEARCH_IMPL_H
#define THAW_LADDER_SEARCH_IMPL_H

#include "ladder/ladder_impl.h"

typedef struct search_candidate {
    thaw_rung rung;
    char name[THAW_RUNG_TEXT];
    int64_t index; /* in the order of the list: what decides between equals */
    thaw_rates
        rates; /* those that are searched; adapter negative and backbone as configured where they are not */
    double rate; /* of the adapter or the backbone; NAN: frozen has the head's alone */
    bool diverged;
    double value, loss; /* the metric and the loss on val, after the last round that it was in */
    char directory[LADDER_PATH]; /* of that round */
} search_candidate;

typedef struct search {
    const thaw_config *config;
    const thaw_search_options *options;
    const thaw_metric *metric;
    char data_digest[THAW_DIGEST_HEX];
    char backbone_digest[THAW_DIGEST_HEX]; /* of the first run; "" so far */
    search_candidate *all; /* (count); those that are left stand first, the best first */
    int64_t count, left;
    int64_t rounds, spent, epochs; /* epochs: of a run in the last round */
    bool over;
    thaw_pool *pool;
    thaw_json *result, *round_rows; /* round_rows is in result */
} search;

/* search_list.c: the candidates in order of depth, then of the lists. THAW_ERR_CONFIG: fewer than two. Local. */
THAW_NODISCARD thaw_status search_list(search *s);
/* THAW_ERR_CONFIG: the peft rung of a method that has no rate of its own. Local. */
THAW_NODISCARD thaw_status search_check_rungs(const thaw_config *config);
/* The same rung and what of its rates is searched: "partial:1 with head 0.1, backbone 0.01". Appends. */
void search_describe(const search_candidate *c, thaw_str *out);
/* Rounds that leave one of `count` when one of `keep` goes on. */
int64_t search_rounds(int64_t count, int64_t keep);

/* search_write.c: what is known at the end, into result; then search.md and search.csv from it, and search.json. Collective: the winner is compared with the
 * runner-up. */
THAW_NODISCARD thaw_status search_conclude(search *s, thaw_comm *comm);
THAW_NODISCARD thaw_status search_write(const search *s);

#endif
