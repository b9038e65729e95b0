"""All tests of the repository, as suites that can be run one by one."""
