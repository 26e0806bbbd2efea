//! A connection to a database of any kind, and the differences between their SQL dialects.
//!
//! Every column is selected as text: the kinds store booleans, times and numbers differently, but
//! their text forms hardly differ.

use futures_util::TryStreamExt;
use sqlx::any::{AnyConnectOptions, AnyRow, install_default_drivers};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Row};

use super::address::{Address, Kind};
use super::error::SqlError;
use super::rows::Columns;

/// The statements that begin a read transaction on a snapshot. Old releases of MySQL cannot make it
/// read-only, but nothing is written in any case.
const fn begin(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Sqlite => &["BEGIN"],
        Kind::MySql => &[
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ],
        Kind::Postgres => &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
    }
}

fn quoted(kind: Kind, column: &str) -> String {
    match kind {
        Kind::MySql => format!("`{column}`"),
        Kind::Sqlite | Kind::Postgres => format!("\"{column}\""),
    }
}

fn as_text(kind: Kind, column: &str) -> String {
    let text = match kind {
        Kind::MySql => "CHAR",
        Kind::Sqlite | Kind::Postgres => "TEXT",
    };
    format!("CAST({} AS {text})", quoted(kind, column))
}

fn columns_of(kind: Kind, table: &str) -> String {
    let schema = match kind {
        Kind::Sqlite => return format!("SELECT name FROM pragma_table_info('{table}')"),
        Kind::MySql => "table_schema = DATABASE()",
        Kind::Postgres => "table_schema = ANY (current_schemas(false))",
    };
    let name = as_text(kind, "column_name");
    format!(
        "SELECT {name} FROM information_schema.columns WHERE table_name = '{table}' AND {schema}"
    )
}

/// A connection in a read transaction.
pub(super) struct Database {
    connection: AnyConnection,
    kind: Kind,
}

impl Database {
    /// Connects and begins the transaction.
    ///
    /// # Errors
    /// `Open`.
    pub(super) async fn open(address: &Address) -> Result<Self, SqlError> {
        install_default_drivers();
        let connect = async {
            let options: AnyConnectOptions = address.url.expose().parse()?;
            let mut connection = options.disable_statement_logging().connect().await?;
            for statement in begin(address.kind) {
                sqlx::raw_sql(*statement).execute(&mut connection).await?;
            }
            Ok(connection)
        };
        Ok(Self {
            connection: connect.await.map_err(SqlError::Open)?,
            kind: address.kind,
        })
    }

    pub(super) async fn close(self) -> Result<(), SqlError> {
        Ok(self.connection.close().await?)
    }

    /// Returns those of the wanted columns that a table has, and none if the table does not exist.
    pub(super) async fn columns_of(
        &mut self,
        table: &str,
        wanted: &[&'static str],
    ) -> Result<Vec<&'static str>, SqlError> {
        let mut there = Vec::new();
        let take = |row: &AnyRow| {
            there.extend(row.try_get::<Option<String>, _>(0)?);
            Ok(())
        };
        self.each(columns_of(self.kind, table), take).await?;
        let is_there = |column: &&&'static str| there.iter().any(|name| name == *column);
        Ok(wanted.iter().filter(is_there).copied().collect())
    }

    /// Calls `show` with these columns of each row, in the order of their creation.
    pub(super) async fn each_row(
        &mut self,
        table: &str,
        columns: &[&'static str],
        mut show: impl FnMut(Columns),
    ) -> Result<(), SqlError> {
        if columns.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = columns
            .iter()
            .map(|name| as_text(self.kind, name))
            .collect();
        let (list, id) = (list.join(", "), quoted(self.kind, "id"));
        let sql = format!("SELECT {list} FROM {table} ORDER BY {table}.{id}");
        let take = |row: &AnyRow| {
            let mut values = Columns::default();
            for (place, column) in columns.iter().enumerate() {
                values.set(column, row.try_get(place)?);
            }
            show(values);
            Ok(())
        };
        self.each(sql, take).await
    }

    /// Calls `show` for each row of a query. The SQL consists of constants of this program, which is
    /// why `AssertSqlSafe` holds.
    async fn each(
        &mut self,
        sql: String,
        mut show: impl FnMut(&AnyRow) -> Result<(), sqlx::Error>,
    ) -> Result<(), SqlError> {
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            show(&row)?;
        }
        Ok(())
    }
}
