//! The local disks of the processes of a run.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::sync::Arc;

use nhiwatch::service::Service;
use nhiwatch::shard::cache::Directory;

use crate::dice::Dice;

/// Each process as its host knows it: some runs keep copies of the state there, some do not.
pub(crate) struct Homes {
    services: BTreeMap<&'static str, Service>,
    disks: Option<tempfile::TempDir>,
}

impl Homes {
    pub(crate) fn of(names: &[&'static str], service: &Service, dice: &mut Dice) -> Self {
        let disks = (dice.roll(2) == 0).then(|| tempfile::tempdir().unwrap());
        let at_home = |name: &&'static str| {
            let take = |disks: &tempfile::TempDir| {
                let path = disks.path().join(name);
                Arc::new(Directory::take(&path, &service.config.topics.state).unwrap())
            };
            let cache = disks.as_ref().map(take);
            let service = service.clone();
            (*name, Service { cache, ..service })
        };
        Self {
            services: names.iter().map(at_home).collect(),
            disks,
        }
    }

    pub(crate) fn service(&self, name: &str) -> &Service {
        &self.services[name]
    }

    /// What a power failure may do: the end of a file is gone, or a byte is another.
    pub(crate) fn damage(&self, name: &str, dice: &mut Dice) {
        let Some(disks) = &self.disks else {
            return;
        };
        let files = fs::read_dir(disks.path().join(name)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|it| it == "log"));
        files.sort();
        if files.is_empty() {
            return;
        }
        let path = &files[dice.roll(files.len() as u64) as usize];
        let mut contents = fs::read(path).unwrap();
        if contents.is_empty() {
            return;
        }
        let at = dice.roll(contents.len() as u64) as usize;
        if dice.roll(4) == 0 {
            contents[at] ^= 1;
            fs::write(path, &contents).unwrap();
        } else {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(at as u64).unwrap();
        }
    }
}
