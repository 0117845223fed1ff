//! What comes from elsewhere: ADD of addresses and repositories, contexts of every kind.

mod common;

#[path = "remote/built.rs"]
mod built;
#[path = "remote/contexts.rs"]
mod contexts;
#[path = "remote/git.rs"]
mod git;
#[path = "remote/http.rs"]
mod http;
#[path = "remote/kaniko.rs"]
mod kaniko;
#[path = "remote/named.rs"]
mod named;
#[path = "remote/own.rs"]
mod own;
#[path = "remote/repository.rs"]
mod repository;
#[path = "remote/server.rs"]
mod server;
#[path = "remote/ssh.rs"]
mod ssh;
