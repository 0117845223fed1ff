//! `kiln login` and `kiln logout`.

use std::process::ExitCode;

use kiln::cancel::Cancel;
use kiln::cli::{Entrance, PasswordFrom, Remark};
use kiln::pipeline::{self, LoggedIn, LoggedOut};
use kiln::registry::{KeptBy, Secret};
use kiln::request::LogoutRequest;
use kiln::ui;

pub(super) fn log_in(entrance: Entrance) -> ExitCode {
    for remark in &entrance.remarks {
        if let Remark::Warning(text) = remark {
            ui::print_warning(text);
        }
    }
    ended(try_log_in(entrance))
}

fn try_log_in(entrance: Entrance) -> anyhow::Result<String> {
    let Entrance { request, user, password, .. } = entrance;
    let server = &request.server;
    let user = match user {
        Some(user) => user,
        None => there(ui::ask(&format!("User for {server}: "))?, "user", "-u USER")?,
    };
    let password = match password {
        PasswordFrom::Argument(password) => password,
        PasswordFrom::Stdin => there(Some(ui::read_secret()?), "password", "a pipe")?.into(),
        PasswordFrom::Terminal => {
            let question = format!("Password of {user} for {server}: ");
            there(ui::ask_secretly(&question)?, "password", "--password-stdin")?.into()
        }
    };
    let password: Secret = password;
    let LoggedIn { kept_by, hidden_by } =
        pipeline::log_in(&request, &user, &password, &Cancel::default())?;
    let file = request.file.display();
    let kept = match kept_by {
        KeptBy::File => format!("kept in {file}, which is not encrypted"),
        KeptBy::Helper(program) => format!("kept by {program}, which {file} names"),
    };
    if let Some(other) = hidden_by {
        ui::print_warning(&format!(
            "builds do not use this login: {other} has one for {server} and comes first"
        ));
    }
    Ok(format!("Logged in to {server} as {user}; the login is {kept}\n"))
}

/// What was typed, or came in.
fn there(answer: Option<String>, what: &str, instead: &str) -> anyhow::Result<String> {
    match answer {
        None => {
            anyhow::bail!("there is no terminal to ask for the {what} at; give it with {instead}")
        }
        Some(text) if text.is_empty() => anyhow::bail!("the {what} is empty; nothing was kept"),
        Some(text) => Ok(text),
    }
}

pub(super) fn log_out(request: &LogoutRequest) -> ExitCode {
    ended(pipeline::log_out(request, &Cancel::default()).map(|LoggedOut { servers, left }| {
        let file = request.file.display();
        let what = match &request.server {
            Some(server) => server.to_string(),
            None => "any registry".to_owned(),
        };
        if let Some(other) = left {
            ui::print_warning(&format!(
                "builds still have credentials for {what}: those of {other}"
            ));
        }
        match &servers[..] {
            [] => format!("Not logged in to {what}: {file} has no login for it\n"),
            servers => format!("Logged out of {}\n", servers.join(", ")),
        }
    }))
}

fn ended(outcome: anyhow::Result<String>) -> ExitCode {
    match outcome {
        Ok(text) => {
            ui::print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let colour = ui::stderr_colour(ui::ColorChoice::Auto);
            ui::print_error(&ui::diagnostic::render_error(error.as_ref(), colour));
            ExitCode::FAILURE
        }
    }
}
