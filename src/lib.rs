//! kiln turns a Dockerfile into an OCI image in a registry with one command.
//!
//! The modules stand in the order in which the data travels, and each uses only what stands before
//! it ([`sys`], [`digest`], [`cancel`] and [`event`] carry everyone). `tests/architecture.rs` checks
//! this. Where to look:
//!
//! | module | job |
//! |---|---|
//! | [`sys`] | raw system calls; the only `unsafe` |
//! | [`digest`] | digests, hashing readers and writers |
//! | [`cancel`] | one flag that stops a build |
//! | [`event`] | what a build reports while it runs; rendered by [`ui`] |
//! | [`dockerfile`] | text → instructions with spans; pure |
//! | [`layer`] | tar (PAX), compression, whiteouts, the blob store |
//! | [`rootfs`] | a directory that is an image's file system |
//! | [`context`] | where the files of COPY and ADD come from |
//! | [`image`] | configs, manifests, platforms; OCI layout and docker archive |
//! | [`registry`] | references, credentials, pull, push |
//! | [`remote`] | files and git repositories from elsewhere, brought into a directory |
//! | [`base_cache`] | base images that are on this machine already |
//! | [`request`] | what to build and where it goes, as plain data |
//! | [`plan`] | instructions + arguments + target → stages and their steps |
//! | [`lint`] | what is legal in a Dockerfile but doubtful |
//! | [`cache`] | results of earlier builds: keys, records, the places that keep them |
//! | [`sandbox`] | one RUN, isolated |
//! | [`stage`] | runs one stage's steps |
//! | [`publish`] | uploads, tags, files that name the digest |
//! | [`carry`] | images that are there already, on their way to registries |
//! | [`schedule`] | stages side by side |
//! | [`work_dir`], `settings` | the build's own directory; a request in the words of the modules |
//! | [`warm`] | fills the base cache |
//! | [`doctor`] | what this machine allows, and what to change |
//! | [`pipeline`] | THE STORY: request → image in a registry |
//! | [`ui`] | the only place that prints |
//! | [`cli`] | flags and environment → a typed request |

pub mod base_cache;
pub mod cache;
pub mod cancel;
pub mod carry;
pub mod cli;
pub mod context;
pub mod digest;
pub mod dockerfile;
pub mod doctor;
pub mod event;
pub mod image;
pub mod layer;
pub mod lint;
pub mod pipeline;
pub mod plan;
pub mod publish;
pub mod registry;
pub mod remote;
pub mod request;
pub mod rootfs;
pub mod sandbox;
pub mod schedule;
mod settings;
pub mod stage;
pub mod sys;
pub mod ui;
pub mod warm;
pub mod work_dir;
