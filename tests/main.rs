//! Everything together, through public interfaces.

mod delivery; // what is logged is found, exactly as logged
mod questions; // fields, values, surroundings, traces, files: what else can be asked
mod bad_input; // nothing that anybody sends stops the next good batch
mod outage; // Redis away, the server killed: what is kept
mod files; // log files that something else wrote, line by line
mod python_handler; // the Python handler's own tests
mod process; // the server as a process: its private Redis, its signals, its complaints
mod terminal; // the verbs that print
mod demo; // `make demo`: the system of the mission, followed through by one trace
mod alerts; // searches that are kept, and who is told of what they find
mod browser; // a real browser for one test
mod page; // the search page in a real browser
mod finding; // the page: completion, columns, fields, surroundings, traces, files, saved searches
mod browsing; // the page: time, chart, keys, looks, issues, losses, nothing found
mod overview; // the page: what one sees first
mod waiting; // the page: what is asked and drawn first, and what is said while an answer takes long
mod following; // the page: new records as they arrive
mod canned; // the page over made-up answers
mod views; // every view of the page: hostile text, accessibility
mod structure; // the rules of the house
