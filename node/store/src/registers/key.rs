use shoal_types::RegisterKey;

/// Keys sort as [`RegisterKey`] does: layouts by mesh and version, then
/// objects by the bytes of their names.
const LAYOUT: u8 = 0;
const OBJECT: u8 = 1;

pub(super) fn encode(key: &RegisterKey) -> Vec<u8> {
    match key {
        RegisterKey::Layout(mesh, version) => [&[LAYOUT][..], mesh.as_bytes(), &version.to_be_bytes()].concat(),
        RegisterKey::Object(name) => object(name.as_str()),
    }
}

/// The key of an object; of a prefix of names, the prefix of their keys.
pub(super) fn object(name: &str) -> Vec<u8> {
    [&[OBJECT][..], name.as_bytes()].concat()
}

/// The key of an object, for people.
pub(super) fn describe(key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;

    #[test]
    fn keys_sort_as_bytes_in_the_order_of_the_registers() {
        let mesh = MeshId::from_bytes([9; 16]);
        let mut keys = [
            RegisterKey::Object("b/é".parse().unwrap()),
            RegisterKey::Layout(mesh, 256),
            RegisterKey::Object("b/a".parse().unwrap()),
            RegisterKey::Layout(mesh, 2),
            RegisterKey::Object("b/z".parse().unwrap()),
        ];
        keys.sort();
        assert!(keys.iter().map(encode).is_sorted());
    }
}
