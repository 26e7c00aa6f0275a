//! Tables for people: columns as wide as what stands in them.

/// A line for each row, the first of which has the heads. Numbers stand at the right of their column.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let cells = |column: usize| rows.iter().map(move |row| row.get(column).map_or("", String::as_str));
    let width = |column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let is_number = |column| cells(column).skip(1).all(|cell| cell.bytes().all(|b| b.is_ascii_digit()));
    let shape: Vec<(usize, bool)> = (0..columns).map(|column| (width(column), is_number(column))).collect();
    let mut text = String::new();
    for row in rows {
        let cell = |(cell, (width, right)): (&String, &(usize, bool))| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        };
        let cells: Vec<String> = row.iter().zip(&shape).map(cell).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_numbers_at_the_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["host", "n", "why"]), row(["MV", "7", "éé"]), row(["Verlaine", "1234", ""])];
        assert_eq!(table(&rows), "host         n  why\nMV           7  éé\nVerlaine  1234\n");
        assert_eq!(table(&[]), "");
    }
}
