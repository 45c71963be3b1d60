//! A whole session: a few connections send a script to a broker that runs, which must neither panic nor hang, and must
//! serve everybody else afterwards. `-rss_limit_mb` bounds its memory.
#![no_main]

use cordon_fuzz::script::Script;
use cordon_fuzz::stage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: Script| stage::play(&script));
