/// The tables of TPC-H, as its queries name them.
pub const TPCH_TABLES: [&str; 8] =
    ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"];

/// The text of TPC-H query `number`, 1 to 22, with the specification's
/// validation parameters; `None` for another number.
pub fn tpch_query(number: usize) -> Option<&'static str> {
    const QUERIES: [&str; 22] = [
        include_str!("../queries/tpch/q1.sql"),
        include_str!("../queries/tpch/q2.sql"),
        include_str!("../queries/tpch/q3.sql"),
        include_str!("../queries/tpch/q4.sql"),
        include_str!("../queries/tpch/q5.sql"),
        include_str!("../queries/tpch/q6.sql"),
        include_str!("../queries/tpch/q7.sql"),
        include_str!("../queries/tpch/q8.sql"),
        include_str!("../queries/tpch/q9.sql"),
        include_str!("../queries/tpch/q10.sql"),
        include_str!("../queries/tpch/q11.sql"),
        include_str!("../queries/tpch/q12.sql"),
        include_str!("../queries/tpch/q13.sql"),
        include_str!("../queries/tpch/q14.sql"),
        include_str!("../queries/tpch/q15.sql"),
        include_str!("../queries/tpch/q16.sql"),
        include_str!("../queries/tpch/q17.sql"),
        include_str!("../queries/tpch/q18.sql"),
        include_str!("../queries/tpch/q19.sql"),
        include_str!("../queries/tpch/q20.sql"),
        include_str!("../queries/tpch/q21.sql"),
        include_str!("../queries/tpch/q22.sql"),
    ];
    QUERIES.get(number.checked_sub(1)?).copied()
}
