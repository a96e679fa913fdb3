"""The records behind TensorBoard's HParams tab, since tensorboard's own functions for them need TensorFlow.

The study's run describes the columns, each trial's run gives its parameters; the metric is the trial's latest scalar. A
parameter that a trial does not have is left out, so that its cell is empty.
"""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from hpsearch.config import Objective, Params
from hpsearch.report.event_files import metadata_only
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.quantities import quantity

METRICS = ("auc", "accuracy", "tpr_at_fpr.0.001", "train_loss")
"""Columns beside the objective."""


def experiment(parameters: Mapping[str, SearchedParameter], objective: Objective, at: float) -> Summary:
    """Describes the columns: every searched parameter with its range, and the metrics, the objective first."""
    metrics = dict.fromkeys([objective, *METRICS])
    content = api_pb2.Experiment(
        time_created_secs=at,
        hparam_infos=[_column(parameter) for parameter in parameters.values()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=quantity(key).tag), display_name=quantity(key).title)
            for key in metrics
        ],
    )
    return _record(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=content))


def session_start(params: Params, parameters: Mapping[str, SearchedParameter], at: float) -> Summary:
    """A trial's searched parameters."""
    content = plugin_data_pb2.SessionStartInfo(start_time_secs=at)
    for name, value in params.items():
        if name not in parameters:
            continue
        if parameters[name].is_text or isinstance(value, str):
            content.hparams[name].string_value = str(value)
        else:
            content.hparams[name].number_value = value
    return _record(metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=content))


def session_end(good: bool, at: float) -> Summary:
    """How a trial ended."""
    status = api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE
    content = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at)
    return _record(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=content))


def _column(parameter: SearchedParameter) -> api_pb2.HParamInfo:
    number_or_text = api_pb2.DATA_TYPE_STRING if parameter.is_text else api_pb2.DATA_TYPE_FLOAT64
    info = api_pb2.HParamInfo(name=parameter.name, type=number_or_text, differs=True)
    if parameter.choices:
        info.domain_discrete.extend([str(c) if parameter.is_text else float(c) for c in parameter.choices])
    else:
        info.domain_interval.min_value, info.domain_interval.max_value = parameter.low or 0.0, parameter.high or 0.0
    return info


def _record(tag: str, content: plugin_data_pb2.HParamsPluginData) -> Summary:
    return metadata_only(tag, metadata.create_summary_metadata(content))
