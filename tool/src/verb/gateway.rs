//! `gateway config` prints the configuration of a gateway's `HAProxy`; `gateway token` keeps its token; `gateway check` checks
//! all of it.

mod check;
mod token;

use crate::gateway::settings::{DEFAULT, Settings};
use crate::gateway::{haproxy, lists};
use crate::outcome::{Exit, Failure};
use crate::verb::Context;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do for a gateway.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

/// Where the settings are.
#[derive(Args)]
struct Place {
    /// Settings of the gateway
    #[arg(long, value_name = "FILE", default_value = DEFAULT)]
    settings: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Check this gateway, and report problems
    Check(check::Options),
    /// Print haproxy.cfg for this gateway
    Config(Place),
    /// Keep a valid access token at the gateway, until SIGTERM
    Token(token::Options),
}

/// Does it.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    match &options.what {
        What::Check(options) => Ok(check::run(context, options)),
        What::Config(Place { settings }) => {
            let settings = Settings::load(settings)?;
            lists::revoked(&settings.revoked)?;
            context.console.print(&haproxy::config(&settings)?);
            Ok(Exit::Good)
        }
        What::Token(options) => token::run(&context.console, options),
    }
}
