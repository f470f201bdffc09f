"""The metric as a Space: predictions and references in, scores out.

`evaluate.utils.launch_gradio_widget` draws the same page, but needs a gradio older than 4.
"""

import json
from pathlib import Path

import evaluate
import gradio
from evaluate.utils.gradio import parse_readme

HERE = Path(__file__).resolve().parent
METRIC = evaluate.load(str(HERE / "pearson.py"))
EXAMPLE = ("[1, 2, 4, 3]", "[1, 2, 3, 4]")


def compute(predictions: str, references: str) -> dict:
    try:
        # An instance of its own: what visitors compute at the same time does not mix.
        return type(METRIC)().compute(predictions=json.loads(predictions), references=json.loads(references))
    except (TypeError, ValueError) as error:
        raise gradio.Error(str(error)) from error


page = gradio.Interface(
    fn=compute,
    inputs=[
        gradio.Textbox(EXAMPLE[0], label="predictions", info="a JSON list of values"),
        gradio.Textbox(EXAMPLE[1], label="references", info="a JSON list of the same shape"),
    ],
    outputs=gradio.JSON(label=METRIC.name, elem_id="scores"),
    title=f"Metric: {METRIC.name}",
    description=METRIC.info.description,
    article=parse_readme(HERE / "README.md"),
    flagging_mode="never",
)

if __name__ == "__main__":
    page.launch()
