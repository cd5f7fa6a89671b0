//! Texts, and what they are read as.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[rstest]
#[case(
    r#"SELECT cache_key, value, expires FROM "django_cache_table" WHERE cache_key IN (%s)"#,
    "SELECT django_cache_table"
)]
#[case("SELECT COUNT(*) FROM django_cache_table", "SELECT django_cache_table")]
#[case("UPDATE \"django_cache_table\" SET value = $1", "UPDATE django_cache_table")]
#[case("INSERT INTO public.\"t\" (a) VALUES ('FROM x')", "INSERT t")]
#[case("DELETE FROM ONLY t WHERE a = $$ FROM y $$", "DELETE t")]
#[case("SELECT EXTRACT(year FROM \"o\".\"at\") FROM \"orders\" AS o", "SELECT orders")]
#[case("SELECT COUNT(*) FROM (SELECT DISTINCT a FROM \"inner\") subquery", "SELECT inner")]
#[case("(SELECT a FROM x) UNION (SELECT a FROM y)", "SELECT x + SELECT y")]
#[case("WITH c AS (SELECT a FROM x) UPDATE y SET a = 1 FROM c", "UPDATE y + SELECT x")]
#[case("DECLARE \"_django_curs_1\" NO SCROLL CURSOR WITH HOLD FOR SELECT a FROM big", "SELECT big")]
#[case("/* FROM a */ select 1 -- FROM b", "SELECT")]
#[case("ROLLBACK TO SAVEPOINT s1", "ROLLBACK TO")]
#[case("ROLLBACK", "ROLLBACK")]
#[case("TRUNCATE TABLE t", "TRUNCATE t")]
#[case("CREATE TABLE IF NOT EXISTS \"T\" (a int)", "CREATE T")]
#[case("", "")]
fn a_statement_has_a_verb_and_its_tables(#[case] sql: &str, #[case] expected: &str) {
    assert_eq!(shape(sql).to_string(), expected);
}

#[rstest]
#[case::join("SELECT a FROM x INNER JOIN y ON (x.id = y.x_id), z", "SELECT x + SELECT y + SELECT z")]
#[case::joined_in_parentheses("SELECT a FROM (x JOIN (y CROSS JOIN z) ON true)", "SELECT x + SELECT y + SELECT z")]
#[case::subquery(
    "SELECT a FROM x WHERE b IN (SELECT b FROM y WHERE c = ANY(ARRAY(SELECT 1 FROM z)))",
    "SELECT x + SELECT y + SELECT z"
)]
#[case::scalar("SELECT (SELECT count(*) FROM x)", "SELECT x")]
#[case::scalar_beside("SELECT (SELECT count(*) FROM x) FROM y", "SELECT y + SELECT x")]
#[case::cte("WITH o AS (SELECT * FROM x) SELECT * FROM o", "SELECT x")]
#[case::cte_that_hides_nothing("WITH x AS (SELECT * FROM x) SELECT * FROM x", "SELECT x")]
#[case::cte_with_columns(
    "WITH o (a, b) AS MATERIALIZED (SELECT 1, 2 FROM x), p AS (SELECT 1 FROM o) SELECT * FROM p, y",
    "SELECT y + SELECT x"
)]
#[case::recursive(
    "WITH RECURSIVE r AS (SELECT 1 FROM x UNION ALL SELECT 1 FROM r JOIN y ON true) SELECT * FROM r",
    "SELECT x + SELECT y"
)]
#[case::cte_of_another_query("SELECT 1 FROM (WITH o AS (SELECT 1) SELECT 1 FROM o) q, o", "SELECT o")]
#[case::cte_that_writes(
    "WITH d AS (DELETE FROM x RETURNING *), i AS (INSERT INTO y SELECT * FROM d RETURNING 1) SELECT count(*) FROM i",
    "SELECT (DELETE x) + INSERT y"
)]
#[case::insert_select(
    "INSERT INTO x (a, b) SELECT a, b FROM y WHERE NOT EXISTS (SELECT 1 FROM x)",
    "INSERT x + SELECT y + SELECT x"
)]
#[case::upsert("INSERT INTO x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1", "INSERT x + UPDATE x")]
#[case::update_from("UPDATE x SET a = y.a, b = (SELECT 1 FROM z) FROM y WHERE true", "UPDATE x + SELECT y + SELECT z")]
#[case::delete_using("DELETE FROM x USING y JOIN z USING (id) WHERE true", "DELETE x + SELECT y + SELECT z")]
#[case::merge(
    "MERGE INTO x USING y ON true WHEN MATCHED AND y.a THEN UPDATE SET a = 1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
    "MERGE x + SELECT y + UPDATE x + DELETE x + INSERT x"
)]
#[case::for_update(
    "SELECT a FROM x WHERE b IS DISTINCT FROM y ORDER BY a, b FOR NO KEY UPDATE OF x, z SKIP LOCKED",
    "SELECT x"
)]
#[case::functions(
    "SELECT a FROM generate_series(1, 2) AS g(a), LATERAL unnest(b) u, ONLY x, ROWS FROM (f(1)) WHERE trim(BOTH FROM c) = substring((d) FROM 1)",
    "SELECT x"
)]
#[case::several("INSERT INTO x VALUES (1); UPDATE y SET a = 1", "INSERT x + UPDATE y")]
#[case::copy_from("COPY public.x (a, b) FROM STDIN", "COPY x + INSERT x")]
#[case::copy_to("COPY x TO STDOUT", "COPY x + SELECT x")]
#[case::copy_query("COPY (DELETE FROM x RETURNING *) TO STDOUT", "COPY (DELETE x)")]
#[case::prepared("PREPARE p (text) AS INSERT INTO x VALUES ($1)", "INSERT x")]
#[case::explain("EXPLAIN SELECT a FROM x", "EXPLAIN")]
#[case::explain_analyze("EXPLAIN (ANALYZE, BUFFERS) DELETE FROM x", "EXPLAIN (DELETE x)")]
#[case::do_block(
    "DO $$ BEGIN IF EXISTS (SELECT 1 FROM y) THEN INSERT INTO x VALUES (1); ELSE PERFORM 1 FROM z; END IF; END $$",
    "DO (INSERT x) + SELECT z + SELECT y"
)]
#[case::call("CALL fill((SELECT 1 FROM x))", "CALL (SELECT x)")]
#[case::lists("TRUNCATE ONLY a, public.b * , c CASCADE", "TRUNCATE a + TRUNCATE b + TRUNCATE c")]
#[case::lock("LOCK TABLE a, b IN SHARE MODE", "LOCK a + LOCK b")]
#[case::create_as("CREATE TEMP TABLE t AS SELECT a FROM x", "CREATE t + SELECT x")]
#[case::create_index("CREATE UNIQUE INDEX CONCURRENTLY i ON x (a)", "CREATE x")]
#[case::create_view("CREATE OR REPLACE VIEW v AS SELECT a FROM x", "CREATE v")]
#[case::table("TABLE x", "SELECT x")]
#[case::columns_like_keywords("SELECT x.update, \"from\", delete AS insert FROM x", "SELECT x")]
fn every_table_of_a_statement_is_told_with_what_is_done_to_it(#[case] sql: &str, #[case] expected: &str) {
    assert_eq!(shape(sql).to_string(), expected);
}

#[rstest]
#[case("SELECT", None, true)]
#[case("INSERT", Some("y"), true)]
#[case("SELECT", Some("y"), false)]
#[case("DELETE", None, false)]
fn a_statement_does_what_it_does_to_a_table_of_it(
    #[case] verb: &str,
    #[case] table: Option<&str>,
    #[case] expected: bool,
) {
    assert_eq!(shape("INSERT INTO y SELECT a FROM x").does(Some(verb), table), expected);
}

#[rstest]
#[case::copy("COPY x FROM STDIN", Way::Cursor)]
#[case::callproc(r#"SELECT * FROM "lower"('A')"#, Way::Cursor)]
#[case::callproc_of_a_query(r#"SELECT * FROM "f"((SELECT 1 FROM x))"#, Way::Wrapped)]
#[case::commit("COMMIT;", Way::Driver)]
#[case::with_more("COMMIT; DELETE FROM x", Way::Wrapped)]
#[case::time_zone("SELECT set_config('TimeZone', 'UTC', false)", Way::Driver)]
#[case::hidden("SELECT set_config('a', f(), false)", Way::Wrapped)]
#[case::read("SELECT a FROM x", Way::Wrapped)]
fn what_passes_wrappers_by_is_known_by_its_whole_text(#[case] sql: &str, #[case] expected: Way) {
    assert_eq!(read(sql).way, expected);
}

#[rstest]
#[case("COMMIT", true)]
#[case("SELECT set_config('TimeZone', $1, $2)", true)]
#[case("SELECT $1", true)]
#[case(r#"SELECT $2 FROM ONLY "public"."shop_order" x WHERE "id" OPERATOR(pg_catalog.=) $1 FOR KEY SHARE OF x"#, true)]
#[case("FETCH FORWARD $1 FROM \"c\"", true)]
#[case("ROLLBACK TO SAVEPOINT s1", false)]
#[case("SELECT a FROM shop_order", false)]
#[case("SELECT count(*)", false)]
#[case::in_a_comment("DELETE FROM t /* FROM ONLY x OPERATOR(pg_catalog.=) */", false)]
#[case::with_a_query("SELECT set_config('a', (SELECT b FROM t), true)", false)]
#[case::with_two("SELECT 1; DELETE FROM t", false)]
fn what_wrappers_cannot_see_is_known(#[case] sql: &str, #[case] expected: bool) {
    assert_eq!(is_unseen(sql), expected);
}

proptest! {
    #[test]
    fn any_text_has_a_shape(sql in any::<String>()) {
        let _ = shape(&sql);
    }

    #[test]
    fn pieces_of_sql_in_any_order_have_a_shape(pieces in prop::collection::vec(prop::sample::select(vec!["SELECT", "FROM", "(", ")", "'", "\"", "$$", "$a$", "/*", "*/", "--", "\n", "x", ".", "WITH", "E'\\", "é", "DECLARE", "FOR"]), 0..24)) {
        let _ = shape(&pieces.join(" "));
        let _ = shape(&pieces.concat());
    }

    #[test]
    fn what_stands_in_a_literal_does_not_matter(literal in "[^'\\\\]{0,20}") {
        let with = format!("SELECT a FROM t WHERE b = '{literal}'");
        prop_assert_eq!(shape(&with).to_string(), "SELECT t");
    }

    #[test]
    fn what_stands_in_a_comment_does_not_matter(comment in "[^*/]{0,20}") {
        let with = format!("/*{comment}*/ DELETE /*{comment}*/ FROM t");
        prop_assert_eq!(shape(&with).to_string(), "DELETE t");
    }
}
