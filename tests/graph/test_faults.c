/* Every allocation fails once, each in a process of its own: the error is a clear one and nothing leaks. */
#include "graph_test.h"

#include <sys/wait.h>
#include <unistd.h>

enum { DONE, REFUSED, WRONG_STATUS, LEAKED };

static thaw_status build(thaw_graph **graph, thaw_kern **kern, thaw_plan **plan)
{
    THAW_TRY(thaw_graph_new(graph));
    thaw_graph *g = *graph;
    thaw_graph_set_block(g, 0, "stem");
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){2, 5, 5}));
    x = basic_block(g, "one", x, 2, 1, false);
    x = thaw_graph_dropout(g, thaw_graph_max_pool(g, x, 2, 2, 0), 0.5f);
    thaw_graph_set_block(g, -1, "head");
    x = thaw_graph_linear(g, "fc", thaw_graph_flatten(g, x), 3, true);
    thaw_graph_set_logits(g, x);
    THAW_TRY(thaw_graph_finish(g));
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++)
        thaw_graph_param(g, i)->trainable = true;
    THAW_TRY(thaw_graph_analyze(g));
    THAW_TRY(thaw_kern_open("ref", kern));
    randomize(g, 1);
    thaw_plan_options options = plan_options(2, true);
    THAW_TRY(thaw_plan_new(g, *kern, &options, plan));
    double worst = 0;
    return thaw_graph_check_gradients(g, *kern, 2, 1, 0.1, &worst);
}

static int child(int nth)
{
    char fault[40];
    thaw_graph *g = NULL;
    thaw_kern *kern = NULL;
    thaw_plan *plan = NULL;
    (void)snprintf(fault, sizeof fault, "alloc:0:%d", nth);
    (void)setenv("THAW_FAULT", fault, 1);
    thaw_status status = build(&g, &kern, &plan);
    thaw_plan_free(&plan);
    thaw_kern_close(&kern);
    thaw_graph_free(&g);
    if (thaw_alloc_live() != 0)
        return LEAKED;
    if (status == THAW_OK)
        return DONE;
    return status == THAW_ERR_RESOURCE && thaw_error_last()->message[0] != '\0' ? REFUSED
                                                                                : WRONG_STATUS;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    int code = REFUSED;
    int nth = 0;
    while (code == REFUSED) {
        nth++;
        pid_t pid = fork();
        if (pid == 0)
            _exit(child(nth));
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status))
            fail_msg("allocation %d: killed by signal %d", nth, WTERMSIG(status));
        code = WEXITSTATUS(status);
        if (code == WRONG_STATUS || code == LEAKED)
            fail_msg("allocation %d: %s", nth, code == LEAKED ? "memory leaked" : "wrong status");
    }
    assert_true(nth > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
