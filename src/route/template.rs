//! Destination names with placeholders: `{schema}_{table}`.

/// A template that cannot be understood, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// `{` without `}`, or the other way round.
    #[error("a brace has no partner")]
    Unbalanced,
    /// `{owner}`.
    #[error("there is no placeholder `{{{0}}}`")]
    UnknownPlaceholder(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Schema,
    Table,
}

/// A name in which the source's schema and table can stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// The source table's own name.
    pub(super) fn table() -> Self {
        Self(vec![Part::Table])
    }

    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (placeholder, tail) = after.split_once('}').ok_or(BadTemplate::Unbalanced)?;
            parts.push(plain(before)?);
            parts.push(match placeholder {
                "schema" => Part::Schema,
                "table" => Part::Table,
                other => return Err(BadTemplate::UnknownPlaceholder(other.to_owned())),
            });
            rest = tail;
        }
        parts.push(plain(rest)?);
        Ok(Self(parts))
    }

    /// The name for one table of the source.
    pub(super) fn expand(&self, schema: &str, table: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Schema => schema.to_owned(),
            Part::Table => table.to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// Whether the schema's name stands in it.
    pub(super) fn has_schema(&self) -> bool {
        self.0.contains(&Part::Schema)
    }

    /// Whether the table's name stands in it.
    pub(super) fn has_table(&self) -> bool {
        self.0.contains(&Part::Table)
    }
}

fn plain(text: &str) -> Result<Part, BadTemplate> {
    if text.contains('}') { Err(BadTemplate::Unbalanced) } else { Ok(Part::Text(text.to_owned())) }
}
