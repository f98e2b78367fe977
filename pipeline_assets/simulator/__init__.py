"""A payments world that makes transactions and chargebacks, with faults on demand. Imports contracts only."""
