//! What a table of objects is made of: where its list lies, and how a column is taken from an object. The columns that all
//! objects share stand here once, in Steampipe's order: names first, then the table's own, then the rest of the metadata.

use serde_json::{Map, Value as Json};

use super::quantity;
use crate::schema::{Column, ColumnType, Table};
use crate::value::{Row, Value};

/// kubectl writes the whole object here, a Secret's values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind of objects.
#[derive(Debug)]
pub(crate) struct Resource {
    pub table: &'static Table,
    /// `/api/v1` or `/apis/<group>/<version>`.
    pub api: &'static str,
    /// As in the path.
    pub plural: &'static str,
    pub is_namespaced: bool,
    /// The table's own columns, in their order.
    pub fields: &'static [Field],
}

impl Resource {
    /// As in a rule of RBAC: `pods`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        let group = self.api.strip_prefix("/apis/").and_then(|rest| rest.split('/').next());
        group.map_or_else(|| self.plural.to_owned(), |group| format!("{}.{group}", self.plural))
    }
}

/// Where a column's value lies in an object (a JSON pointer), and what it becomes.
#[derive(Debug)]
pub(crate) struct Field {
    pub kind: Kind,
    pub pointer: &'static str,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// 1 or 0.
    Flag,
    /// Seconds since 1970.
    Time,
    /// Lists and objects, as JSON text.
    Json,
    /// A selector of labels as a command takes it.
    Selector,
    /// Thousandths of a processor.
    MilliCores,
    /// Bytes.
    Bytes,
    /// Requests of containers in numbers.
    Requests,
    /// Limits of containers in numbers.
    Limits,
    /// The object with its keys and without its values.
    Keys,
    /// The kind of a volume with its settings: what the specification has beside the fields of every volume.
    VolumeSource,
}

impl Kind {
    pub const fn column(self) -> ColumnType {
        match self {
            Kind::Number | Kind::MilliCores | Kind::Bytes => ColumnType::BigInt,
            Kind::Flag => ColumnType::Integer,
            Kind::Time => ColumnType::DateTime,
            Kind::Text
            | Kind::Json
            | Kind::Selector
            | Kind::Requests
            | Kind::Limits
            | Kind::Keys
            | Kind::VolumeSource => ColumnType::Text,
        }
    }

    fn value(self, json: Option<&Json>) -> Value {
        let Some(json) = json.filter(|json| !json.is_null()) else { return Value::Null };
        match self {
            Kind::Text => match json {
                Json::String(text) => text.into(),
                other => other.to_string().into(),
            },
            Kind::Number => json.as_i64().or_else(|| json.as_str()?.parse().ok()).into(),
            Kind::Flag => json.as_bool().into(),
            Kind::Time => json.as_str().and_then(seconds).into(),
            Kind::Json => json.to_string().into(),
            Kind::Selector => quantity::selector(json).into(),
            Kind::MilliCores => json.as_str().and_then(quantity::milli_cores).into(),
            Kind::Bytes => json.as_str().and_then(quantity::bytes).into(),
            Kind::Requests => quantity::resources(json, "requests").to_string().into(),
            Kind::Limits => quantity::resources(json, "limits").to_string().into(),
            Kind::Keys => json.as_object().map(without_values).into(),
            Kind::VolumeSource => json.as_object().and_then(volume_source).into(),
        }
    }
}

fn seconds(time: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp())
}

fn without_values(map: &Map<String, Json>) -> String {
    let keys: Map<String, Json> = map.keys().map(|key| (key.clone(), Json::Null)).collect();
    Json::Object(keys).to_string()
}

/// Fields of every volume's specification; the one beside them says what it lies on.
const OF_EVERY_VOLUME: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn volume_source(spec: &Map<String, Json>) -> Option<String> {
    let source: Map<String, Json> = spec
        .iter()
        .filter(|(key, _)| !OF_EVERY_VOLUME.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!source.is_empty()).then(|| Json::Object(source).to_string())
}

/// The row of an object, in the order of [`columns!`].
pub(crate) fn row_of(resource: &Resource, context: &str, object: &Json) -> Row {
    let at = |kind: Kind, pointer: &str| kind.value(object.pointer(pointer));
    let labels = object.pointer("/metadata/labels").and_then(Json::as_object);
    let annotations = annotations(resource, object);
    let mut cells = Vec::with_capacity(resource.table.columns.len());
    cells.push(at(Kind::Text, "/metadata/name"));
    if resource.is_namespaced {
        cells.push(at(Kind::Text, "/metadata/namespace"));
    }
    cells.push(at(Kind::Text, "/metadata/uid"));
    cells.extend(resource.fields.iter().map(|field| at(field.kind, field.pointer)));
    let mut tags = labels.cloned().unwrap_or_default();
    tags.extend(annotations.clone().unwrap_or_default());
    let as_json = |map: Map<String, Json>| Json::Object(map).to_string();
    cells.push(context.into());
    cells.push("deployed".into());
    cells.push(at(Kind::Text, "/metadata/name"));
    cells.push((!tags.is_empty()).then(|| as_json(tags)).into());
    cells.push(at(Kind::Text, "/metadata/generateName"));
    cells.push(at(Kind::Text, "/metadata/resourceVersion"));
    cells.push(at(Kind::Number, "/metadata/generation"));
    cells.push(at(Kind::Time, "/metadata/creationTimestamp"));
    cells.push(at(Kind::Time, "/metadata/deletionTimestamp"));
    cells.push(at(Kind::Number, "/metadata/deletionGracePeriodSeconds"));
    cells.push(at(Kind::Json, "/metadata/labels"));
    cells.push(annotations.map(as_json).into());
    cells.push(at(Kind::Json, "/metadata/ownerReferences"));
    cells.push(at(Kind::Json, "/metadata/finalizers"));
    Row(cells)
}

fn annotations(resource: &Resource, object: &Json) -> Option<Map<String, Json>> {
    let mut annotations = object.pointer("/metadata/annotations")?.as_object()?.clone();
    if resource.plural == "secrets" {
        annotations.remove(LAST_APPLIED);
    }
    Some(annotations)
}

/// The bytes of a row, roughly.
pub(super) fn size_of(row: &Row) -> usize {
    row.0.iter().map(Value::size_bytes).sum()
}

const fn text(name: &'static str) -> Column {
    Column::new(name, ColumnType::Text)
}

/// The metadata behind a table's own columns.
pub(crate) const METADATA: [Column; 14] = [
    text("context_name"),
    text("source_type"),
    text("title"),
    text("tags"),
    text("generate_name"),
    text("resource_version"),
    Column::new("generation", ColumnType::BigInt),
    Column::new("creation_timestamp", ColumnType::DateTime),
    Column::new("deletion_timestamp", ColumnType::DateTime),
    Column::new("deletion_grace_period_seconds", ColumnType::BigInt),
    text("labels"),
    text("annotations"),
    text("owner_references"),
    text("finalizers"),
];

/// The columns of a table: its own in the middle.
pub(crate) const fn all_columns<const OWN: usize, const ALL: usize>(
    is_namespaced: bool,
    own: [Column; OWN],
) -> [Column; ALL] {
    let mut all = [text("name").index(); ALL];
    let mut next = 1;
    if is_namespaced {
        all[next] = text("namespace").index();
        next += 1;
    }
    all[next] = text("uid");
    next += 1;
    let mut position = 0;
    while position < OWN {
        all[next] = own[position];
        next += 1;
        position += 1;
    }
    position = 0;
    while position < METADATA.len() {
        all[next] = METADATA[position];
        next += 1;
        position += 1;
    }
    assert!(next == ALL, "the number of columns is wrong");
    all
}

/// Tables of objects, as data: name, where the list lies, whether objects are in namespaces, and the columns with what they
/// become and the pointer to where they lie.
macro_rules! resources {
    ($(
        $(#[doc = $description:literal])+
        $table:ident: $api:literal, $plural:literal, $scope:ident {
            $( $column:ident: $kind:ident $pointer:literal, )*
        }
    )+) => {
        $(
            #[doc = concat!("The table `", stringify!($table), "`.")]
            pub(crate) mod $table {
                use crate::kubernetes::list;
                use crate::kubernetes::resource::{Field, Kind, METADATA, Resource, all_columns, is_namespaced};
                use crate::schema::{Column, Table};

                const IS_NAMESPACED: bool = is_namespaced!($scope);
                const NAMES: &[&str] = &[ $( stringify!($column) ),* ];
                const OWN_COUNT: usize = NAMES.len();
                const COUNT: usize = 2 + IS_NAMESPACED as usize + OWN_COUNT + METADATA.len();
                const COLUMNS: [Column; COUNT] = all_columns::<OWN_COUNT, COUNT>(
                    IS_NAMESPACED,
                    [ $( Column::new(stringify!($column), Kind::$kind.column()) ),* ],
                );

                #[doc = concat!("The table `", stringify!($table), "`.")]
                pub(crate) static TABLE: Table =
                    Table::new(stringify!($table), concat!($($description),+), &COLUMNS, rows);

                pub(in crate::kubernetes) static RESOURCE: Resource = Resource {
                    table: &TABLE,
                    api: $api,
                    plural: $plural,
                    is_namespaced: IS_NAMESPACED,
                    fields: &[ $( Field { kind: Kind::$kind, pointer: $pointer } ),* ],
                };

                fn rows(scan: &crate::reader::Scan) -> crate::schema::Rows {
                    list::rows(scan, &RESOURCE)
                }
            }
        )+

        /// Every table of objects.
        #[cfg(test)]
        pub(in crate::kubernetes) static RESOURCES: &[&super::resource::Resource] = &[ $( &$table::RESOURCE ),+ ];
    };
}
pub(crate) use resources;

/// What a scope in [`resources!`] means.
macro_rules! is_namespaced {
    (namespaced) => {
        true
    };
    (cluster) => {
        false
    };
}
pub(crate) use is_namespaced;

#[cfg(test)]
mod tests {
    use super::super::objects::{self, RESOURCES};
    use super::*;
    use serde_json::json;

    fn cell<'a>(resource: &Resource, row: &'a Row, column: &str) -> &'a Value {
        &row.0[resource.table.position(column).unwrap()]
    }

    #[test]
    fn every_table_has_a_value_for_each_column_and_pointers_into_an_object() {
        for resource in RESOURCES {
            let name = resource.table.name;
            let row = row_of(resource, "here", &json!({"metadata": {"name": "x", "finalizers": ["last"]}}));
            assert_eq!(row.0.len(), resource.table.columns.len(), "{name}");
            assert_eq!(cell(resource, &row, "finalizers"), &Value::from("[\"last\"]"), "{name}");
            assert_eq!(cell(resource, &row, "context_name"), &Value::from("here"), "{name}");
            assert!(resource.fields.iter().all(|field| field.pointer.starts_with('/')), "{name}");
            let mut names: Vec<&str> = resource.table.columns.iter().map(|column| column.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{name} has a column twice");
        }
    }

    #[test]
    fn a_pod_becomes_a_row() {
        let pod = json!({
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"app": "x"}},
            "spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "1", "memory": "1Mi"}}}]},
        });
        let resource = &objects::kubernetes_pod::RESOURCE;
        let row = row_of(resource, "here", &pod);
        for (column, expected) in [
            ("name", Value::from("web")),
            ("namespace", Value::from("shop")),
            ("host_network", Value::from(true)),
            ("host_pid", Value::Null),
            ("creation_timestamp", Value::Integer(1_767_323_045)),
            ("tags", Value::from("{\"app\":\"x\"}")),
            ("source_type", Value::from("deployed")),
        ] {
            assert_eq!(cell(resource, &row, column), &expected, "{column}");
        }
        let limits = cell(resource, &row, "containers_resources_limits_std").to_string();
        assert!(limits.contains("\"cpu\":1000") && limits.contains("\"memory\":1048576"), "{limits}");
    }

    #[test]
    fn of_a_secret_only_names_are_shown() {
        let secret = json!({
            "metadata": {"name": "s", "namespace": "n", "annotations": {LAST_APPLIED: "c2VjcmV0", "team": "a"}},
            "data": {"password": "c2VjcmV0"}, "stringData": {"token": "c2VjcmV0"}, "type": "Opaque",
        });
        let resource = &objects::kubernetes_secret::RESOURCE;
        let row = row_of(resource, "here", &secret);
        assert_eq!(cell(resource, &row, "data"), &Value::from("{\"password\":null}"));
        assert_eq!(cell(resource, &row, "annotations"), &Value::from("{\"team\":\"a\"}"));
        assert!(row.0.iter().all(|value| !value.to_string().contains("c2VjcmV0")), "{row:?}");
    }

    #[test]
    fn a_resource_has_the_name_that_rules_use() {
        assert_eq!(objects::kubernetes_pod::RESOURCE.qualified(), "pods");
        assert_eq!(objects::kubernetes_deployment::RESOURCE.qualified(), "deployments.apps");
    }
}
