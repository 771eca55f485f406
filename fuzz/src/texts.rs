//! Secrets: any text and any value can be masked, nothing planted is left, and JSON stays JSON.

use std::sync::LazyLock;

use kubesweep::redact::Redactor;
use serde_json::{Value, json};

const SECRET: &str = "pl4nt3dS3cr3t";

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new().expect("built-in forms"));

/// Text, or JSON.
pub fn redact(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace(SECRET, "");
    let masked = REDACTOR.text(&text);
    if let Ok(value) = serde_json::from_str::<Value>(&text)
        && (value.is_object() || value.is_array())
    {
        let masked: Value = serde_json::from_str(&masked).expect("JSON stays JSON");
        assert_eq!(masked.is_object(), value.is_object());
        planted(&value);
    }
    planted(&json!(text));
}

/// The same value, with a secret beside it in places that hold secrets.
fn planted(value: &Value) {
    let mut planted = json!({
        "env": [{"name": value, "value": SECRET}, value],
        "kind": "Secret", "data": {"k": SECRET, "v": value}, "password": SECRET,
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": SECRET}},
        "args": [value, "--password", SECRET],
    });
    let keys = planted.as_object().map(serde_json::Map::len);
    REDACTOR.value(&mut planted);
    let text = planted.to_string();
    assert!(!text.contains(SECRET), "a secret is left: {text}");
    assert_eq!(planted.as_object().map(serde_json::Map::len), keys);
}
