//! Everything that is tested from outside the library, in one binary.

mod cases_mappings;
mod cases_routes;
mod route_properties;
