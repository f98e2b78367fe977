"""What the assets are given: the stores they read and write, the alerts, and the parameters."""

import dagster as dg

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.settings import Params

AlertsResource = dg.ResourceParam[Alerts]
StoresResource = dg.ResourceParam[Stores]
ParamsResource = dg.ResourceParam[Params]
OWNERS = ["team:fraud-data"]
