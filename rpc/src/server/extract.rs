//! What a handler's parameters can be: the call's arguments, the server's state, the call's [`Context`].

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::request::{Context, Request};
use crate::Fault;
use crate::params::{self, Parameters};

/// The arguments of the call, bound to `T` as Python would bind them: a struct has named parameters, a tuple
/// positional ones, `()` none, and [`RawParams`](crate::RawParams) takes whatever came. A handler's parameter that is
/// neither this nor another extractor is taken for `T` itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Params<T>(
    /// The arguments.
    pub T,
);

/// A clone of what the server was given with [`ServerBuilder::state`](crate::ServerBuilder::state).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State<S>(
    /// The state.
    pub S,
);

/// What can be a parameter of a handler. `Via` tells the kinds apart and is never named.
pub trait Extract<Via>: Sized {
    /// Takes it from the request.
    ///
    /// # Errors
    ///
    /// What the caller is told when the request does not have it.
    fn extract(request: &Request) -> Result<Self, Fault>;

    /// Says what must be there for it.
    fn needs(_: &mut Needs) {}
}

/// What a handler needs to be started.
#[derive(Debug, Default)]
pub struct Needs {
    pub(super) parameters: Option<Parameters>,
    pub(super) states: Vec<(TypeId, &'static str)>,
}

impl Needs {
    pub(super) fn and<T: Extract<Via>, Via>(mut self) -> Self {
        T::needs(&mut self);
        self
    }
}

/// How an extractor of this crate is taken.
#[derive(Debug)]
pub enum ByName {}

/// How arguments without a wrapper are taken.
#[derive(Debug)]
pub enum ByValue {}

impl<T: DeserializeOwned> Extract<ByValue> for T {
    fn extract(request: &Request) -> Result<Self, Fault> {
        params::bind(&request.context.method, request.args(), request.kwargs())
    }

    fn needs(needs: &mut Needs) {
        needs.parameters = Some(Parameters::of::<T>());
    }
}

impl<T: DeserializeOwned> Extract<ByName> for Params<T> {
    fn extract(request: &Request) -> Result<Self, Fault> {
        T::extract(request).map(Self)
    }

    fn needs(needs: &mut Needs) {
        <T as Extract<ByValue>>::needs(needs);
    }
}

impl Extract<ByName> for Context {
    fn extract(request: &Request) -> Result<Self, Fault> {
        Ok(request.context.clone())
    }
}

impl<S: Clone + Send + Sync + 'static> Extract<ByName> for State<S> {
    fn extract(request: &Request) -> Result<Self, Fault> {
        let state = request.states.find::<S>();
        Ok(Self(
            state.expect("a server without the state is not built").clone(),
        ))
    }

    fn needs(needs: &mut Needs) {
        needs.states.push((TypeId::of::<S>(), type_name::<S>()));
    }
}

/// The states of a server, one of each type.
#[derive(Default)]
pub(super) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(super) fn add<S: Send + Sync + 'static>(&mut self, state: S) {
        self.0.insert(TypeId::of::<S>(), Box::new(state));
    }

    /// The name of the first of these types of which there is no state.
    pub(super) fn missing(&self, needed: &[(TypeId, &'static str)]) -> Option<&'static str> {
        let missing = needed.iter().find(|(id, _)| !self.0.contains_key(id));
        missing.map(|(_, name)| *name)
    }

    fn find<S: 'static>(&self) -> Option<&S> {
        self.0.get(&TypeId::of::<S>())?.downcast_ref()
    }
}
