//! The everyday commands of a store do to names what they say, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::mesh::{Mesh, Peer, run, said, wait};

/// Files by their paths below a directory.
type Tree = BTreeMap<String, Vec<u8>>;

/// Some hundred small files, at several depths, some of them longer than a manifest holds.
fn tree(count: usize) -> Tree {
    let file = |n: usize| {
        let folder = ["", "one/", "one/deep/", "two words/"][n % 4];
        let content = format!("{n},").repeat(1 + n * n % 2_000);
        (format!("{folder}{n:03}.csv"), content.into_bytes())
    };
    (0..count).map(file).collect()
}

/// Writes a tree into a directory of the test's.
fn write(mesh: &Mesh, dir: &str, tree: &Tree) -> String {
    for (path, content) in tree {
        mesh.file(&format!("{dir}/{path}"), content);
    }
    mesh.path(dir)
}

/// What is in a directory.
fn read(dir: &str) -> Tree {
    let (mut tree, mut waiting) = (Tree::new(), vec![Path::new(dir).to_path_buf()]);
    while let Some(dir_below) = waiting.pop() {
        for entry in std::fs::read_dir(dir_below).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                tree.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    tree
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

fn etag(peer: &Peer, name: &str) -> String {
    peer.json(&["stat", name, "--json"])["etag"].as_str().unwrap().to_owned()
}

/// Runs a command that must go well; gives what it told on stderr.
fn told(peer: &Peer, args: &[&str]) -> String {
    let output = peer.shoal(args);
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    said(args, output);
    stderr
}

#[test]
fn a_copy_and_a_move_keep_bytes_and_etag_and_store_no_chunk() {
    let mesh = Mesh::of(3);
    let [first, second, third] = &mesh.peers[..] else { panic!("three peers") };
    let content = "a line of text\n".repeat(100_000);
    let file = mesh.file("f.txt", content.as_bytes());
    first.ok(&["put", &file, "b/x.txt"]);
    let (tag, chunks) = (etag(first, "b/x.txt"), first.status().unwrap()["chunks"].clone());
    second.ok(&["cp", "b/x.txt", "b/y.txt"]);
    second.ok(&["cp", "b/x.txt", "archive/"]);
    third.ok(&["mv", "b/y.txt", "b/z.txt"]);
    assert_eq!(lines(&first.ok(&["ls"])), ["archive/x.txt", "b/x.txt", "b/z.txt"]);
    for name in ["archive/x.txt", "b/x.txt", "b/z.txt"] {
        assert_eq!(etag(third, name), tag, "{name}");
        assert!(third.ok(&["cat", name]) == content, "{name}");
    }
    assert_eq!(first.status().unwrap()["chunks"], chunks);
    // What the first name is for does not depend on the others.
    first.ok(&["rm", "b/x.txt"]);
    assert!(second.ok(&["cat", "b/z.txt", "archive/x.txt"]) == content.repeat(2));

    let refused = second.fails(1, &["cp", "b/z.txt", "archive/x.txt", "--if-absent"]);
    assert!(refused.contains("archive/x.txt"), "{refused}");
    assert!(first.fails(1, &["mv", "b/none", "b/other"]).contains("b/none"));
    assert!(first.fails(1, &["mv", "b/z.txt", "b/z.txt"]).contains("onto itself"));
    assert!(first.fails(2, &["cp", &file, "b/other"]).contains("shoal put"), "a file is no name of the mesh");
    assert_eq!(lines(&first.ok(&["ls"])), ["archive/x.txt", "b/z.txt"]);
}

#[test]
fn a_move_of_what_was_changed_meanwhile_is_refused_and_loses_nothing() {
    let mesh = Mesh::of(3);
    let peer = &mesh.peers[0];
    let (old, new) = (mesh.file("old", b"old"), mesh.file("new", b"new"));
    peer.ok(&["put", &old, "b/x"]);
    let seen = etag(peer, "b/x");
    peer.ok(&["put", &new, "b/x"]);
    let refused = peer.fails(1, &["mv", "b/x", "b/y", "--source-etag", &seen]);
    assert!(refused.contains("b/x") && refused.contains("hint"), "{refused}");
    assert_eq!((peer.ok(&["ls"]).as_str(), peer.ok(&["cat", "b/x"]).as_str()), ("b/x\n", "new"));
    peer.ok(&["mv", "b/x", "b/y", "--source-etag", &etag(peer, "b/x")]);
    assert_eq!((peer.ok(&["ls"]).as_str(), peer.ok(&["cat", "b/y"]).as_str()), ("b/y\n", "new"));
}

#[test]
fn of_writes_and_moves_at_the_same_time_the_last_write_is_never_lost() {
    let mesh = Mesh::of(3);
    let peer = &mesh.peers[0];
    peer.ok(&["put", &mesh.file("0", b"0"), "b/x"]);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            for _ in 0..15 {
                // It may have nothing to move, or be refused.
                mesh.peers[1].shoal(&["mv", "b/x", "b/moved"]);
            }
        });
        for n in 1..=15 {
            let file = mesh.file(&n.to_string(), n.to_string().as_bytes());
            // Of changes at the same time one may end in doubt: then it is made again.
            wait("the put to be made", || peer.shoal(&["put", &file, "b/x"]).status.success().then_some(()));
        }
        mover.join().unwrap();
    });
    let kept: Vec<String> = lines(&peer.ok(&["ls", "b/"])).into_iter().map(|name| peer.ok(&["cat", name])).collect();
    assert!(kept.contains(&"15".to_owned()), "{kept:?}");
}

#[test]
fn a_tree_of_some_hundred_files_comes_back_byte_for_byte_wherever_it_was_copied_to() {
    let mesh = Mesh::of(3);
    let [first, second, third] = &mesh.peers[..] else { panic!("three peers") };
    let tree = tree(200);
    let bytes: usize = tree.values().map(Vec::len).sum();
    let dir = write(&mesh, "tree", &tree);
    let put = told(first, &["put", "-r", &dir, "b/tree/"]);
    assert!(put.contains("200 objects") && put.contains("/s"), "{put}");
    first.ok(&["put", &mesh.file("near", b"near"), "b/tree-near"]);
    second.ok(&["cp", "-r", "b/tree", "c/copy"]);
    third.ok(&["mv", "-r", "b/tree/", "c/moved/"]);
    for from in ["c/copy", "c/moved/"] {
        let target = mesh.path(&from.replace('/', "-"));
        let got = told(second, &["get", "-r", from, &target, "--jobs", "16"]);
        assert!(got.contains("200 objects"), "{got}");
        assert!(read(&target) == tree, "{from} is not what was put");
    }
    assert_eq!(first.ok(&["ls", "b/"]), "b/tree-near\n");
    let whole = first.json(&["du", "c/copy", "--depth", "0", "--json"]);
    assert_eq!((&whole[0]["objects"], &whole[0]["bytes"]), (&200.into(), &bytes.into()));

    let would = third.ok(&["rm", "-r", "c/copy", "--dry-run"]);
    assert_eq!(lines(&would).len(), 200);
    assert_eq!(lines(&third.ok(&["ls", "c/copy/"])).len(), 200);
    let mut removed = third.ok(&["rm", "-r", "c/copy"]).lines().map(str::to_owned).collect::<Vec<_>>();
    removed.sort();
    assert_eq!(removed, lines(&would));
    assert_eq!(first.ok(&["ls", "c/copy/"]), "");
    assert_eq!(lines(&first.ok(&["ls", "c/"])).len(), 200, "the other tree stays");
    third.fails(1, &["rm", "-r", "c/copy"]);
    third.fails(2, &["rm", "-r", "/"]);
}

#[test]
fn what_is_copied_itself_is_no_place_for_a_copy() {
    let mesh = Mesh::of(1);
    let (peer, file) = (&mesh.peers[0], mesh.file("f", b"x"));
    for name in ["b/a", "b/sub/a", "b/sub/sub/a"] {
        peer.ok(&["put", &file, name]);
    }
    let refused = peer.fails(2, &["mv", "-r", "b/sub", "b"]);
    assert!(refused.contains("b/sub/sub/a") && refused.contains("hint"), "{refused}");
    assert_eq!(lines(&peer.ok(&["ls"])), ["b/a", "b/sub/a", "b/sub/sub/a"], "nothing was done");
    peer.ok(&["cp", "-r", "b", "b/backup"]);
    assert_eq!(lines(&peer.ok(&["ls", "b/backup/"])), ["b/backup/a", "b/backup/sub/a", "b/backup/sub/sub/a"]);
}

#[test]
fn a_pattern_stands_for_the_names_that_match() {
    let mesh = Mesh::of(2);
    let (peer, file) = (&mesh.peers[0], mesh.file("f", b"x"));
    for name in ["b/2026-01.csv", "b/2026-02.csv", "b/2026-02.txt", "b/sub/2026-03.csv", "b/odd[1].csv"] {
        peer.ok(&["put", &file, name, "--format", "bytes"]);
    }
    assert_eq!(lines(&peer.ok(&["ls", "b/2026-*.csv"])), ["b/2026-01.csv", "b/2026-02.csv"]);
    assert_eq!(lines(&peer.ok(&["ls", "b/**/*-0[13].csv"])), ["b/2026-01.csv", "b/sub/2026-03.csv"]);
    assert_eq!(lines(&peer.ok(&["ls", "b/odd["])), ["b/odd[1].csv"], "a prefix that is no pattern");
    let dir = mesh.path("out");
    peer.ok(&["get", "b/*/*.csv", &dir]);
    peer.ok(&["get", "b/2026-*.csv", &dir]);
    assert_eq!(read(&dir).into_keys().collect::<Vec<_>>(), ["2026-01.csv", "2026-02.csv", "sub/2026-03.csv"]);
    peer.ok(&["cp", "b/{2026-01,2026-02}.*", "c/"]);
    assert_eq!(lines(&peer.ok(&["ls", "c/"])), ["c/2026-01.csv", "c/2026-02.csv", "c/2026-02.txt"]);
    assert_eq!(peer.ok(&["cat", "c/*.csv"]), "xx");
    // The object of that very name, and not what it matches.
    peer.ok(&["put", &file, "b/odd1.csv"]);
    peer.ok(&["rm", "b/odd[1].csv"]);
    assert_eq!(peer.ok(&["ls", "b/odd"]), "b/odd1.csv\n");
    // Once more it would be a pattern, unless it is said that it is none.
    assert!(peer.fails(1, &["rm", "--exact", "b/odd[1].csv"]).contains("there is no object"));
    peer.fails(1, &["mv", "--exact", "b/odd[1].csv", "c/"]);
    peer.fails(1, &["rm", "b/odd[1].csv", "--id", &format!("{:032x}", 1)]);
    assert_eq!(peer.ok(&["ls", "b/odd"]), "b/odd1.csv\n");
    let told = |args: &[&str]| String::from_utf8(peer.shoal(args).stderr).unwrap();
    assert!(told(&["rm", "b/[o]dd[1].csv", "--dry-run"]).contains("'b/[o]dd[1].csv' is taken as a pattern; --exact"));
    assert!(!told(&["rm", "b/odd?.csv", "--dry-run"]).contains("pattern"));
    peer.ok(&["put", &file, "b/dir[1]/f"]);
    peer.fails(2, &["rm", "-r", "b/dir[1]"]);
    assert_eq!(peer.ok(&["rm", "-r", "--exact", "b/dir[1]"]), "b/dir[1]/f\n");
    let removed = peer.ok(&["rm", "b/2026-*.csv", "b/odd1.csv"]);
    assert_eq!(BTreeSet::from_iter(lines(&removed)), ["b/2026-01.csv", "b/2026-02.csv"].into());
    assert_eq!(lines(&peer.ok(&["ls", "b/"])), ["b/2026-02.txt", "b/sub/2026-03.csv"]);
    assert!(peer.fails(1, &["rm", "b/none*"]).contains("b/none*"));
    assert!(peer.fails(2, &["rm", "b/*["]).contains("pattern"));
}

#[test]
fn objects_are_found_by_name_size_and_age_and_summed_up_by_folder() {
    let mesh = Mesh::of(2);
    let peer = &mesh.peers[0];
    for (name, bytes) in [("b/a/small.csv", 10), ("b/a/large.csv", 5_000), ("b/a/deep/x.txt", 300), ("c/y.bin", 7)] {
        peer.ok(&["put", &mesh.file("f", &vec![b'x'; bytes]), name, "--format", "bytes"]);
    }
    let found = |args: &[&str]| peer.ok(&[&["find"], args].concat()).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(found(&["b/", "--name", "*.csv"]), ["b/a/large.csv", "b/a/small.csv"]);
    assert_eq!(found(&["b/", "--name", "a/**/x*"]), ["b/a/deep/x.txt"]);
    assert_eq!(found(&["--larger", "9", "--smaller", "1KiB"]), ["b/a/deep/x.txt", "b/a/small.csv"]);
    assert_eq!(found(&["--newer", "1h", "--smaller", "8"]), ["c/y.bin"]);
    assert_eq!(found(&["--older", "2020-01-01"]), [""; 0]);
    let json = peer.json(&["find", "--larger", "4KiB", "--json"]);
    assert_eq!((&json[0]["name"], &json[0]["bytes"], &json[1]), (&"b/a/large.csv".into(), &5_000.into(), &().into()));
    peer.fails(2, &["find", "--newer", "someday"]);

    let sums = |args: &[&str]| {
        let json = peer.json(&[&["du", "--json"], args].concat());
        let sum =
            |folder: &serde_json::Value| (folder["folder"].as_str().unwrap().to_owned(), folder["bytes"].as_u64());
        json.as_array().unwrap().iter().map(sum).collect::<Vec<_>>()
    };
    let own = |rows: &[(&str, u64)]| rows.iter().map(|(name, n)| (name.to_string(), Some(*n))).collect::<Vec<_>>();
    assert_eq!(sums(&[]), own(&[("b/", 5_310), ("c/", 7), ("", 5_317)]));
    assert_eq!(sums(&["b", "--depth", "2"]), own(&[("b/a/deep/", 300), ("b/a/", 5_310), ("b/", 5_310)]));
    let text = peer.ok(&["du", "b"]);
    assert!(text.contains("5.2 KiB") && text.contains("3 objects") && text.contains("b/a/"), "{text}");
    assert!(peer.fails(1, &["du", "none"]).contains("none/"));
}

#[test]
fn one_bad_file_among_many_is_told_and_the_others_are_stored() {
    let mesh = Mesh::of(2);
    let peer = &mesh.peers[0];
    let mut tree = tree(40);
    let dir = write(&mesh, "tree", &tree);
    mesh.file("tree/one/broken.parquet", &[&b"PAR1"[..], &[b'x'; 5_000]].concat());
    let complaint = peer.fails(1, &["put", &dir, "b/"]);
    assert!(complaint.contains("b/one/broken.parquet") && complaint.contains("1 of 41 objects failed"), "{complaint}");
    assert_eq!(lines(&peer.ok(&["ls", "b/"])).len(), 40);

    // A file where a directory must be, and a link out of the directory.
    let target = mesh.path("out");
    mesh.file("out/two words", b"in the way");
    std::fs::create_dir_all(mesh.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(mesh.path("elsewhere"), mesh.path("out/one")).unwrap();
    let complaint = peer.fails(1, &["get", "b/", &target]);
    assert!(complaint.contains("30 of 40 objects failed") && complaint.contains("is not below"), "{complaint}");
    assert!(read(&mesh.path("elsewhere")).is_empty(), "nothing is written outside of the directory");
    std::fs::remove_file(mesh.path("out/one")).unwrap();
    tree.retain(|path, _| !path.contains('/'));
    tree.insert("two words".into(), b"in the way".to_vec());
    assert!(read(&target) == tree);

    let complaint = peer.fails(1, &["rm", "b/000.csv", "b/none", "b/004.csv"]);
    assert!(complaint.contains("b/none") && complaint.contains("1 of 3 objects failed"), "{complaint}");
    assert_eq!(lines(&peer.ok(&["ls", "b/"])).len(), 38);
    let cat = run(&peer.gateway, &["cat", "b/008.csv", "b/none", "b/012.csv"], None);
    assert_eq!((cat.status.code(), &cat.stdout), (Some(1), &tree["008.csv"]), "it ends at the first that fails");
}

#[test]
fn a_format_is_told_by_the_first_bytes_where_the_name_says_nothing_or_something_else() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let format = |name: &str| peer.json(&["stat", name, "--json"])["format"].as_str().unwrap().to_owned();
    let parquet = mesh.path("rows.parquet");
    said(&["sql"], run(&peer.gateway, &["sql", "SELECT 7 AS a", "--output", &parquet], None));
    peer.ok(&["put", &parquet, "b/rows"]);
    assert_eq!(format("b/rows"), "parquet");
    assert_eq!(peer.ok(&["sql", "SELECT a FROM 'b/rows'", "--format", "csv"]), "a\n7\n");
    // Cut short it is one nowhere: where the name does not say so either, it is plain bytes.
    let bytes = std::fs::read(&parquet).unwrap();
    let torn = mesh.file("torn", &bytes[..bytes.len() - 1]);
    peer.ok(&["put", &torn, "b/torn"]);
    assert_eq!(format("b/torn"), "bytes");
    assert!(peer.fails(1, &["put", &torn, "b/torn.parquet"]).contains("cut short"));

    let none = mesh.file("none", b"no format at all");
    for name in ["b/none.gz", "b/none.parquet", "b/none.avro", "b/none"] {
        peer.ok(&["put", &none, name]);
        assert_eq!(format(name), "bytes", "{name}");
        assert_eq!(peer.ok(&["cat", name]), "no format at all");
    }
    assert!(peer.fails(1, &["put", &none, "b/said", "--format", "parquet"]).contains("does not begin"));
    peer.ok(&["put", &none, "b/none.gz", "--format", "gzip"]);
    assert_eq!(format("b/none.gz"), "gzip", "as somebody says");
    peer.ok(&["put", &parquet, "b/as.csv"]);
    assert_eq!(format("b/as.csv"), "csv", "of text the name is believed");

    // By piece and by piece, and by append too; what would not grow is not guessed there.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0, 0];
    said(&["append"], run(&peer.gateway, &["append", "-", "b/log"], Some(&zstd)));
    assert_eq!(format("b/log"), "zstd");
    said(&["append"], run(&peer.gateway, &["append", "-", "b/grows"], Some(&bytes)));
    said(&["append"], run(&peer.gateway, &["append", "-", "b/grows"], Some(b"more")));
    assert_eq!(format("b/grows"), "bytes");

    // A put that goes on knows what it would be.
    let again = told(peer, &["put", "--resume", &parquet, "b/rows"]);
    assert!(again.contains("there already"), "{again}");
}

#[test]
fn what_is_asked_for_again_is_done_once_and_not_refused_for_its_own_sake() {
    let mesh = Mesh::of(3);
    let [first, second, third] = &mesh.peers[..] else { panic!("three peers") };
    let (file, other) = (mesh.file("f", b"mine"), mesh.file("o", b"another's"));
    let id = |n: u32| format!("{n:032x}");
    // Its answer was not heard: another peer is asked.
    for peer in [first, second] {
        peer.ok(&["put", &file, "b/x", "--if-absent", "--id", &id(1)]);
    }
    assert!(third.fails(1, &["put", &other, "b/x", "--if-absent", "--id", &id(2)]).contains("ETag"));
    third.fails(1, &["put", &file, "b/x", "--if-absent"]);
    let seen = etag(first, "b/x");
    for peer in [third, first] {
        peer.ok(&["put", &other, "b/x", "--if-match", &seen, "--id", &id(3)]);
    }
    third.fails(1, &["put", &other, "b/x", "--if-match", &seen, "--id", &id(4)]);

    // Neither what is appended nor what is put behind it makes it be forgotten, or be made again.
    said(&["append"], run(&second.gateway, &["append", "-", "b/x", "--id", &id(5)], Some(b" and more")));
    first.ok(&["put", &file, "b/x", "--if-absent", "--id", &id(1)]);
    assert_eq!(third.ok(&["cat", "b/x"]), "another's and more");
    first.ok(&["put", &file, "b/x"]);
    second.ok(&["put", &other, "b/x", "--if-match", &seen, "--id", &id(3)]);
    said(&["append"], run(&second.gateway, &["append", "-", "b/x", "--id", &id(5)], Some(b" and more")));
    assert_eq!(third.ok(&["cat", "b/x"]), "mine");
    assert!(etag(first, "b/x").len() == 64, "a hash: it was put whole");
    first.fails(2, &["put", &file, &other, "b/", "--id", &id(6)]);

    // Nor does a removal that is asked for again remove what was put since.
    first.ok(&["rm", "b/x", "--id", &id(7)]);
    second.ok(&["rm", "b/x", "--id", &id(7)]);
    third.fails(1, &["rm", "b/x", "--id", &id(8)]);
    third.ok(&["put", &file, "b/x"]);
    first.ok(&["rm", "b/x", "--id", &id(7)]);
    assert_eq!(second.ok(&["cat", "b/x"]), "mine");
    first.fails(2, &["rm", "b/x", "b/y", "--id", &id(9)]);
}
