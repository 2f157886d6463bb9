"""The version of this package, written down once; the build reads it from here."""

VERSION = "0.1.0"
