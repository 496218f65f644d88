# Makes helix a package for cimport. The declarations are in helix.capi.
