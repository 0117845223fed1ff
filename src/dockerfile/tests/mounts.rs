//! `RUN --mount`, with BuildKit's texts for what is wrong.

use super::*;
use crate::dockerfile::Mount;

/// Reads a mount; `expand` replaces `$X`.
fn mount(text: &str) -> Result<Mount, String> {
    Mount::parse(text, |word| Ok::<_, MountError>(word.replace("$X", "1m")))
        .map_err(|error| error.to_string())
}

fn kind(text: &str) -> MountKind {
    mount(text).unwrap_or_else(|error| panic!("{text}: {error}")).kind
}

#[test]
fn types_and_their_defaults() {
    let read_only = |text: &str| mount(text).expect(text).read_only;
    assert!(read_only("target=/a") && read_only("type=secret,id=a") && read_only("rw,ro"));
    assert!(!read_only("type=cache,target=/a") && !read_only("type=tmpfs,target=/a"));
    assert!(
        !read_only("rw") && !read_only("readonly=false") && read_only("type=cache,readwrite=0")
    );
    assert_eq!(
        kind("TYPE=Bind,From=x,src=/a,dst=b"),
        MountKind::Bind { from: Some("x".into()), source: Some("/a".into()) }
    );
    assert_eq!(kind("type=tmpfs,size=$X"), MountKind::Tmpfs { size: Some(1 << 20) });
    let permissions = Permissions { mode: Some(0o1750), uid: Some(0), gid: Some(4_294_967_295) };
    assert_eq!(
        kind("type=cache,id=i,sharing=LOCKED,mode=1750,uid=0,gid=4294967295"),
        MountKind::Cache {
            id: Some("i".into()),
            from: None,
            source: None,
            sharing: Sharing::Locked,
            permissions
        }
    );
    let secret = |id: &str, env: Option<&str>, required| MountKind::Secret {
        id: id.into(),
        env: env.map(str::to_owned),
        required,
        permissions: Permissions::default(),
    };
    assert_eq!(kind("type=secret,target=/a/b"), secret("b", None, false));
    assert_eq!(kind("type=secret,source=s,required"), secret("s", None, true));
    assert_eq!(kind("type=secret,id=a,env=A,required=false"), secret("a", Some("A"), false));
    let permissions = Permissions::default();
    assert_eq!(
        kind("type=ssh,required=1"),
        MountKind::Ssh { id: "default".into(), required: true, permissions }
    );
}

#[test]
fn a_target_may_have_a_comma_and_from_is_not_expanded() {
    assert_eq!(mount("\"target=/a,b\"").expect("a mount").target.as_deref(), Some("/a,b"));
    assert_eq!(mount("target=").expect("a mount").target, None);
    assert_eq!(kind("from=$X"), MountKind::Bind { from: Some("$X".into()), source: None });
    assert_eq!(Mount::from_word("from=a,FROM=b,target=/x"), Some("b".into()));
    assert_eq!(Mount::from_word("target=/x,from="), None);
}

#[test]
fn what_is_wrong_is_said_in_buildkit_s_words() {
    for (text, expected) in [
        ("target", "invalid field 'target' must be a key=value pair"),
        ("type=bind,colour=/x", "unexpected key 'colour' in 'colour=/x'"),
        ("typ=bind", "unexpected key 'typ' in 'typ=bind' (did you mean type?)"),
        ("type=bnd", "unsupported mount type \"bnd\" (did you mean bind?)"),
        ("type=volume", "unsupported mount type \"volume\""),
        (
            "type=cache,sharing=lokced",
            "unsupported sharing value \"lokced\" (did you mean locked?)",
        ),
        ("ro=maybe", "invalid value for ro: maybe"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("required=true,type=secret", "unexpected key 'required' for mount type 'bind'"),
        ("type=secret,id=a,required=perhaps", "invalid value for required: perhaps"),
        ("type=cache,size=1m", "unexpected key 'size' for mount type 'cache'"),
        ("type=tmpfs,size=much", "invalid value for size: much"),
        ("type=cache,mode=0o755", "invalid value 0o755 for mode"),
        ("type=cache,mode=888", "invalid value 888 for mode"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        ("type=cache,gid=+1", "invalid value +1 for gid"),
        ("mode=755", "mode not allowed for \"bind\" type mounts"),
        ("type=tmpfs,uid=1", "uid not allowed for \"tmpfs\" type mounts"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"),
        ("type=ssh,sharing=shared", "invalid cache sharing set for ssh mount"),
        ("type=ssh,source=a", "ssh does not support source"),
        (
            "\"a",
            "failed to parse csv mounts: extraneous or missing \" in quoted field of \"\\\"a\"",
        ),
    ] {
        let found = mount(text).expect_err(text);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn keys_are_checked_when_the_file_is_read_and_values_are_not() {
    let error = parse(b"FROM x\nRUN --mount=type=bind,targt=/x true").expect_err("a wrong key");
    assert_eq!(error.message, "unexpected key 'targt' in 'targt=/x' (did you mean target?)");
    parsed("FROM x\nRUN --mount=type=$TYPE,size=$SIZE,target=/x true");
}

#[test]
fn a_heredoc_of_a_run_is_a_script_if_it_is_alone() {
    let script = |line: &str| match one(line).instruction {
        Instruction::Run(run) => run.script().map(Heredoc::chomped),
        other => panic!("{other:?}"),
    };
    assert_eq!(script("RUN <<-A\n\tx\n\tA\n").as_deref(), Some("x\n"));
    assert_eq!(script("RUN <<A cat\nx\nA\n"), None);
    assert_eq!(script("RUN [\"a\"]"), None);
}
