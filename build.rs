//! Embeds all rule files of `src/rules`, and facts about the build.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let directory = Path::new("src/rules");
    println!("cargo:rerun-if-changed={}", directory.display());
    // What run.json says of the build; whoever makes a release sets KUBESWEEP_COMMIT.
    for (name, value) in [("KUBESWEEP_TARGET", "TARGET"), ("KUBESWEEP_PROFILE", "PROFILE")] {
        println!("cargo:rustc-env={name}={}", env::var(value).map_err(io::Error::other)?);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    let mut code = String::from("/// The built-in rules: file name and text.\nconst BUILTIN: &[(&str, &str)] = &[\n");
    for name in names {
        // The path is inserted when the code is compiled: one target directory may serve two copies of the tree.
        let _ = writeln!(
            code,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{}/\", {name:?}))),",
            directory.display()
        );
    }
    code.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("builtin.rs"), code)
}
