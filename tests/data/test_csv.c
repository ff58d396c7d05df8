/* Tables in text: what is read, and every way to be malformed. */
#include "data_test.h"

#include "data/csv_impl.h"

static thaw_status open_bytes(const char *text, size_t bytes, char separator, thaw_csv **csv)
{
    write_bytes(in_folder("t.csv"), text, bytes);
    return thaw_csv_open(in_folder("t.csv"), separator, true, csv);
}

/* All rows, fields between bars, rows between newlines of their own with their line in front. */
static thaw_status read_all(const char *text, size_t bytes, char separator, thaw_str *out)
{
    thaw_csv *csv = NULL;
    thaw_status status = THAW_OK;
    bool more = true;
    thaw_str_reset(out);
    THAW_TRY_TO(open_bytes(text, bytes, separator, &csv));
    for (;;) {
        THAW_TRY_TO(thaw_csv_next(csv, &more));
        if (!more)
            break;
        thaw_str_printf(out, "%lld:", (long long)thaw_csv_line(csv));
        for (int64_t i = 0; i < thaw_csv_columns(csv); i++)
            thaw_str_printf(out, "%s|", thaw_csv_get(csv, i));
        thaw_str_add(out, ";");
    }
done:
    thaw_csv_close(&csv);
    return status;
}

static void rows_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char separator;
        const char *rows;
    } cases[] = {
        {"a,b\n1,2\n3,4\n", ',', "2:1|2|;3:3|4|;"},
        {"a,b\r\n1,2\r\n3,4", ',', "2:1|2|;3:3|4|;"},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         ',', "2:1|2|;"},
        {"a,b\n,\n\n\r\nx,\n", ',', "2:||;5:x||;"},
        {"a,b\n\"1,5\",\"say \"\"no\"\"\"\n\"two\nlines\",x\ny,z\n", ',',
         "2:1,5|say \"no\"|;3:two\nlines|x|;5:y|z|;"},
        {"a,b\n\"\",\"\"\"\"\n5\" disc,it\"\n", ',', "2:|\"|;3:5\" disc|it\"|;"},
        {"a,b\n\"1\",2\r", ',', "2:1|2|;"},
        {"a\tb\n1,2\t\"x\ty\"\n", '\t', "2:1,2|x\ty|;"},
        {"a,b", ',', ""},
        {"\n\na,b\n1,2", ',', "4:1|2|;"},
    };
    const int64_t live = thaw_alloc_live();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        thaw_str rows = {0};
        assert_ok(read_all(cases[i].text, strlen(cases[i].text), cases[i].separator, &rows));
        assert_string_equal(thaw_str_c(&rows), cases[i].rows);
        thaw_str_clear(&rows);
    }
    assert_int_equal(thaw_alloc_live(), live);
}

static void malformed_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *piece;
    } cases[] = {
        {"", "t.csv: empty"},
        {"\n\r\n", "t.csv: empty"},
        {"a,a\n", "t.csv:1: two columns have the name \"a\""},
        {"a,b\n1\n", "t.csv:2: 1 fields, but the first row names 2 columns"},
        {"a,b\n\"x\ny\",2\n1,2,3\n", "t.csv:4: 3 fields, but"},
        {"a,b\n\n1,\"2\n\n", "t.csv:3: a quote is opened here and never closed"},
        {"a,b\n\"1\"2,3\n", "t.csv:2: text after a closing quote"},
        {"a,b\n1\r2,3\n", "t.csv:2: a carriage return without a newline"},
    };
    const int64_t live = thaw_alloc_live();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        thaw_str rows = {0};
        assert_fails(read_all(cases[i].text, strlen(cases[i].text), ',', &rows), THAW_ERR_INPUT,
                     cases[i].piece);
        thaw_str_clear(&rows);
    }
    thaw_str rows = {0};
    assert_fails(read_all("a\nx\0y\n", 6, ',', &rows), THAW_ERR_INPUT, "t.csv:2: a byte 0");
    assert_fails(read_all("a\0,\0", 4, ',', &rows), THAW_ERR_INPUT, "t.csv:1: a byte 0");
    thaw_str_clear(&rows);
    assert_int_equal(thaw_alloc_live(), live);
    thaw_csv *csv = NULL;
    assert_fails(thaw_csv_open(folder, ',', true, &csv), THAW_ERR_INPUT, "cannot read on");
    assert_fails(thaw_csv_open(in_folder("none"), ',', true, &csv), THAW_ERR_INPUT, "cannot open");
}

static void columns_are_found_by_name(void **state)
{
    (void)state;
    thaw_csv *csv = NULL;
    int64_t column = 0;
    static const char text[] = ",path,label,\n";
    assert_ok(open_bytes(text, sizeof text - 1, ',', &csv));
    assert_int_equal(thaw_csv_columns(csv), 4);
    assert_ok(thaw_csv_need(csv, "label", &column));
    assert_int_equal(column, 2);
    assert_string_equal(thaw_csv_column_name(csv, 1), "path");
    assert_int_equal(thaw_csv_find(csv, "split"), -1);
    assert_fails(thaw_csv_need(csv, "split", &column), THAW_ERR_INPUT,
                 "names no column \"split\"; it has \"\", \"path\", \"label\", \"\"");
    thaw_csv_close(&csv);
}

/* Fields and rows larger than the reader's buffer, quotes and line ends at its border, and the limits. */
static void size_does_not_matter_up_to_the_limits(void **state)
{
    (void)state;
    thaw_str text = {0}, rows = {0};
    for (int pad = -3; pad <= 3; pad++) {
        thaw_str_reset(&text);
        thaw_str_add(&text, "a,b\r\n\"");
        while (text.length < (size_t)(65536 + pad))
            thaw_str_add(&text, "x");
        thaw_str_add(&text, "\"\"\",y\r\n1,2\r\n");
        assert_ok(read_all(text.data, text.length, ',', &rows));
        assert_int_equal(rows.length, 65536 + pad - 6 + strlen("2:\"|y|;3:1|2|;"));
        assert_non_null(strstr(rows.data, "x\"|y|;3:1|2|;"));
    }
    thaw_str_reset(&text);
    thaw_str_add(&text, "a\n\"");
    while (text.length <= THAW_CSV_ROW_MOST + 100)
        thaw_str_add(&text, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n");
    assert_fails(read_all(text.data, text.length, ',', &rows), THAW_ERR_INPUT,
                 "t.csv:2: the row has more than 16777216 bytes");
    thaw_str_reset(&text);
    for (int i = 0; i <= THAW_CSV_COLUMNS_MOST; i++)
        thaw_str_add(&text, ",");
    assert_fails(read_all(text.data, text.length, ',', &rows), THAW_ERR_INPUT,
                 "t.csv:1: more than 4096 fields");
    thaw_str_clear(&text);
    thaw_str_clear(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(malformed_rows_are_refused),
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(size_does_not_matter_up_to_the_limits),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
