"""Each module with logic has a test file of its name, or the list below says where its tests are.

So a reader finds the tests of a module, and a new module does not stay without tests.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import idc_widgets

TESTS = Path(__file__).parent
PACKAGE = Path(idc_widgets.__file__).parent

#: The folders whose tests are in another folder, or in files with a prefix.
PREFIXES = {
    "_util": "util/test_",
    "selection/manifests": "selection/test_manifests_",
    "table_calls": "query/test_added_tables",
    "widgets/grid": "widgets/test_",
}

#: Module → the file with its tests. These modules are parts of something that is tested as a whole,
#: or the examples in their docstrings are the tests.
TESTED_IN = {
    "_util/cached_files": "query/test_prepared_copy",
    "_util/callbacks": "test_doctests",
    "_util/contexts": "widgets/test_interrupts",
    "_util/formatting": "test_doctests",
    "_util/html_facts": "query/test_quick_size",
    "_util/http_session": "util/test_http",
    "_util/licenses": "test_doctests",
    "download/changed_files": "download/test_faults",
    "download/controls": "download/test_job",
    "download/lock_file": "download/test_folder_lock",
    "download/outcome": "download/test_job",
    "download/provenance": "download/test_record",
    "download/verification": "download/test_dicom",
    "download/work_folder": "download/test_folder_lock",
    "index/own_columns": "query/test_own_table",
    "index/schemas": "index/test_catalog",
    "index/tables": "index/test_catalog",
    "query/cohort_base": "query/test_set_algebra",
    "query/cohort_choices": "query/test_sampling",
    "query/cohort_counts": "query/test_value_counts",
    "query/cohort_filters": "query/test_where_parser",
    "query/comparison": "query/test_value_counts",
    "query/condition": "query/test_filters",
    "query/data_sources": "widgets/test_details",
    "query/duckdb_calls": "query/test_duckdb_engine",
    "query/exclusion": "query/test_random_cohorts",
    "query/flags": "query/test_related_filters",
    "query/ibis_engine": "other_engines/test_ibis_engine",
    "query/identifier_forms": "selection/test_identifiers",
    "query/key_lists": "query/test_filters",
    "query/licenses": "test_doctests",
    "query/matching": "query/test_random_cohorts",
    "query/memory/aggregates": "query/test_random_cohorts",
    "query/memory/array_file": "query/memory/test_cache_file",
    "query/memory/arrow": "query/memory/test_encoded",
    "query/memory/column_reader": "query/memory/test_read_index",
    "query/memory/first_per_group": "query/test_ranking",
    "query/memory/loading": "query/memory/test_cache_file",
    "query/memory/mask": "query/memory/test_matches",
    "query/memory/memory_index": "query/memory/test_matches",
    "query/memory/once": "query/memory/test_read_index",
    "query/memory/range_values": "query/test_filters",
    "query/memory/recent_results": "query/memory/test_matches",
    "query/memory/series_rows": "query/test_row_source",
    "query/memory/uid_hashes": "query/memory/test_uid_blocks",
    "query/memory/unit_hashes": "query/test_sampling",
    "query/portable_sql": "other_engines/test_sql_translation",
    "query/random_parts": "query/test_sampling",
    "query/reprs": "query/test_cohort",
    "query/sql_errors": "query/test_duckdb_engine",
    "query/sql_translation": "other_engines/test_sql_translation",
    "query/table_adder": "query/test_added_tables",
    "query/table_counts": "query/test_table_filters",
    "query/table_reader": "query/test_added_tables",
    "query/table_views": "query/test_own_table",
    "query/thread_cursors": "query/test_duckdb_engine",
    "query/units": "query/test_value_counts",
    "query/value_parser": "query/test_where_parser",
    "selection/files": "selection/test_manifests_resolve",
    "selection/instances": "download/test_instances",
    "selection/loading": "selection/test_saved",
    "selection/manifests/addresses": "selection/test_manifests_lookup",
    "selection/manifests/entries": "selection/test_manifests_lines",
    "selection/planning": "download/test_instances",
    "selection/prior_versions": "download/test_prior_versions",
    "selection/selection_from_manifest": "selection/test_manifests_lines",
    "table_calls": "query/test_added_tables",
    "widgets/cell_text": "widgets/test_static_view",
    "widgets/frame": "widgets/test_browser",
    "widgets/grid/choice": "widgets/test_level_grids",
    "widgets/grid/columns": "widgets/test_level_grids",
    "widgets/grid/datagrid": "widgets/test_level_grids",
    "widgets/grid/datagrid_title": "widgets/test_level_grids",
    "widgets/grid/dom_grid": "widgets/test_level_grids",
    "widgets/grid/grid_view": "widgets/test_level_grids",
    "widgets/grid/on_disk_column": "widgets/test_on_disk",
    "widgets/grid/row_facts": "widgets/test_level_grids",
    "widgets/grid/row_ranges": "test_doctests",
    "widgets/grid/shown_rows": "widgets/test_level_grids",
    "widgets/grid/tsv": "test_doctests",
    "widgets/grid/view_of_rows": "widgets/test_level_grids",
    "widgets/promises": "widgets/test_turns",
    "widgets/row_content": "widgets/test_details",
    "widgets/settled_traits": "widgets/test_state",
    "widgets/public_widget_names": "test_completions",
}


def has_logic(path: Path) -> bool:
    """Return whether a module defines a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))


def own_file(module: str) -> str:
    """Return the place of the test file that has the name of a module."""
    folder, _, name = module.rpartition("/")
    return PREFIXES.get(folder, f"{folder}/test_" if folder else "test_") + name


def untested(package: Path, tests: Path, tested_in: dict[str, str]) -> list[str]:
    """Return one line of text per module without tests, and per wrong entry of `tested_in`."""
    problems = []
    modules = {
        path.relative_to(package).with_suffix("").as_posix(): path
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    }
    for module, path in modules.items():
        has_own_file = (tests / f"{own_file(module)}.py").is_file()
        if has_own_file and module in tested_in:
            problems.append(f"{module} has a test file of its name: remove it from TESTED_IN")
        elif not has_own_file and module not in tested_in and has_logic(path):
            problems.append(f"{module}: write {own_file(module)}.py, or add it to TESTED_IN")
        elif tested_in.get(module) == "test_doctests" and ">>>" not in path.read_text("utf-8"):
            problems.append(f"{module} has no example, so test_doctests does not test it")
    problems += [f"{module} in TESTED_IN does not exist" for module in tested_in.keys() - modules]
    return problems + [
        f"{place}.py in TESTED_IN does not exist"
        for place in set(tested_in.values())
        if not (tests / f"{place}.py").is_file()
    ]


def test_every_module_with_logic_is_tested() -> None:
    assert untested(PACKAGE, TESTS, TESTED_IN) == []


@pytest.mark.parametrize(
    ("tested_in", "problem"),
    [
        ({}, "query/joins: write query/test_joins.py, or add it to TESTED_IN"),
        ({"query/joins": "test_doctests"}, "query/joins has no example"),
        ({"query/joins": "query/test_rows"}, "query/test_rows.py in TESTED_IN does not exist"),
        ({"query/joint": "test_doctests"}, "query/joint in TESTED_IN does not exist"),
        ({"query/names": "test_doctests"}, "query/names has a test file of its name"),
    ],
)
def test_a_module_without_tests_is_reported(
    tmp_path: Path, tested_in: dict[str, str], problem: str
) -> None:
    package, tests = tmp_path / "package" / "query", tmp_path / "tests" / "query"
    package.mkdir(parents=True)
    tests.mkdir(parents=True)
    (package / "joins.py").write_text("def joined(): pass\n")
    (package / "names.py").write_text("def named(): pass\n")
    (package / "constants.py").write_text("LIMIT = 5\n")
    (tests / "test_names.py").write_text("")
    (tests.parent / "test_doctests.py").write_text("")
    problems = untested(package.parent, tests.parent, tested_in)
    assert any(problem in line for line in problems), problems
