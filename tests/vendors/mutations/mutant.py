"""Describe a fault that is put into a vendor, or into uploads, and the tests that have to find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: What is wrong.
        module: The module that has the fault.
        old: A text that occurs once in the module's source.
        new: The faulty text in its place.
        claims: Names of tests, of `VendorContract` for a fault in a vendor; one of them has to fail.
    """

    name: str
    module: str
    old: str
    new: str
    claims: tuple[str, ...]

    @property
    def path(self) -> str:
        """Return the module's file, below the root of the repository."""
        return f"{self.module.replace('.', '/')}.py"

    def applied(self, source: str) -> str:
        """Return the source with the fault.

        Raises:
            ValueError: The text to replace does not occur exactly once.
        """
        if source.count(self.old) != 1:
            message = f"{self.name}: {self.old!r} occurs {source.count(self.old)} times in {self.path}"
            raise ValueError(message)
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Mutated:
    """A vendor, or another part of the package, and the faults that are put into it.

    Attributes:
        tests: The test class that holds it to the contract, or the file of its tests, as pytest names it.
        mutants: The faults.
        equivalent: Faults of the list that this vendor cannot have, or that are none in it, each with the reason.
        sound: The tests that have to hold without a fault, of a part that no contract has; None for a vendor.
    """

    tests: str
    mutants: tuple[Mutant, ...]
    equivalent: dict[str, str]
    sound: tuple[str, ...] | None = None
