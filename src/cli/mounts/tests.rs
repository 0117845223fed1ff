use super::*;

/// What the flags make of an environment with the variables `SET=hunter2` and `EMPTY=`.
fn choice(flags: MountsFlags) -> Result<RunChoice, String> {
    let dir = std::env::temp_dir();
    let variables = [("SET", "hunter2"), ("EMPTY", ""), ("short", "hunter2")];
    let env = Environment::new(dir, variables.map(|(name, value)| (name.into(), value.into())));
    run_choice(&flags, &env).map_err(|error| error.render(false))
}

fn one_secret(text: &str) -> Result<(String, Secret), String> {
    let flags = MountsFlags { secret: vec![text.to_owned()], ..MountsFlags::default() };
    Ok(choice(flags)?.secrets.into_iter().next().expect("a secret"))
}

#[test]
fn secrets_are_found_as_docker_finds_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    let value = || Secret::Value(b"hunter2".to_vec().into());
    for (text, id, expected) in [
        (format!("id=a,src={}", path.display()), "a", Secret::File(path.clone())),
        (format!("source={},id=a,type=file", path.display()), "a", Secret::File(path.clone())),
        (format!("id={}", path.display()), path.to_str().unwrap(), Secret::File(path.clone())),
        ("id=a,env=SET".to_owned(), "a", value()),
        ("type=env,id=a,src=SET".to_owned(), "a", value()),
        ("id=SET".to_owned(), "SET", value()),
        ("id=SET,type=env".to_owned(), "SET", value()),
        ("\"id=short\"".to_owned(), "short", value()),
        ("id=a,env=EMPTY".to_owned(), "a", Secret::Value(Vec::new().into())),
        ("id=a,env=UNSET".to_owned(), "a", Secret::Unset("UNSET".into())),
    ] {
        assert_eq!(one_secret(&text), Ok((id.to_owned(), expected)), "{text}");
    }
    let shown = format!("{:?}", one_secret("id=SET"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn mistakes_in_secrets_show_none() {
    let big = tempfile::NamedTempFile::new().unwrap();
    big.as_file().set_len(Secret::MAX_SIZE + 1).unwrap();
    for (text, expected) in [
        ("env=SET".to_owned(), "secret missing ID"),
        ("id=a,hunter2".to_owned(), "must be a key=value pair"),
        ("id=a,value=hunter2".to_owned(), "unexpected key 'value'"),
        ("id=a,sorce=hunter2".to_owned(), "unexpected key 'sorce' (did you mean source?)"),
        ("id=a,type=text".to_owned(), "unsupported secret type \"text\""),
        ("id=a,src=/nowhere/x".to_owned(), "failed to stat /nowhere/x"),
        ("id=a,src=/".to_owned(), "is a directory"),
        (format!("id=a,src={}", big.path().display()), "secret a too big. max size 500KB"),
        ("id=a,\"src=hunter2".to_owned(), "quotes"),
    ] {
        let error = one_secret(&text).expect_err(&text);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn agents_are_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "").unwrap();
    let own = socket.display().to_string();
    let ssh = |texts: &[&str], own: Option<&str>| {
        let variables = own.map(|own| (env::SSH_AUTH_SOCK.into(), own.into()));
        let env = Environment::new("/".into(), variables);
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        agents(&texts, &env).map_err(|error| error.render(false))
    };
    let all = ssh(&["default", &format!("other={own}")], Some(&own)).unwrap();
    assert_eq!(all, [("default".into(), socket.clone()), ("other".into(), socket.clone())].into());
    for (texts, own, expected) in [
        (vec!["default"], None, "invalid empty ssh agent socket"),
        (vec!["default", "default"], Some(own.as_str()), "duplicate agent ID \"default\""),
        (vec!["a=/nowhere"], None, "No such file"),
        (vec![&*format!("a={}", key.display())], None, "ssh-add"),
    ] {
        let error = ssh(&texts, own).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn ulimits_networks_and_entitlements() {
    let ulimits = |texts: &[&str]| {
        let ulimit = texts.iter().map(|text| (*text).to_owned()).collect();
        choice(MountsFlags { ulimit, ..MountsFlags::default() }).map(|choice| choice.ulimits)
    };
    let limit = |name: &str, soft, hard| UlimitChoice { name: name.into(), soft, hard };
    assert_eq!(
        ulimits(&["nofile=1:2", "core=-1", "nofile=3"]).unwrap(),
        [limit("core", None, None), limit("nofile", Some(3), Some(3))]
    );
    for (text, expected) in [
        ("nofile", "invalid ulimit argument"),
        ("nofile=x", "invalid ulimit argument"),
        ("nofile=-2", "invalid ulimit argument"),
        ("nofiles=1", "invalid ulimit type: nofiles"),
        ("nofile=2:1", "must be less than or equal to hard limit"),
        ("nofile=-1:1", "must be less than or equal to hard limit"),
    ] {
        let error = ulimits(&[text]).expect_err(text);
        assert!(error.contains(expected), "{error}");
    }
    for (word, expected) in [
        ("none", Ok(NetworkChoice::None)),
        ("host", Ok(NetworkChoice::Host)),
        ("default", Ok(NetworkChoice::Host)),
        ("bridge", Err(())),
    ] {
        assert_eq!(network(Some(word)).map_err(drop), expected, "{word}");
    }
    for (word, fine) in [("network.host", true), ("security.insecure", false), ("x", false)] {
        let flags = MountsFlags { allow: vec![word.to_owned()], ..MountsFlags::default() };
        assert_eq!(choice(flags).is_ok(), fine, "{word}");
    }
}
