"""A diagnostic of your own: one class; its numbers are logged, drawn as charts and written to a table.

    renorm fit --config mlp_relu_free --import examples/own_diagnostic.py --trainer.callbacks Oddness --name odd

The central-limit map is odd: f(-x) = -f(x). How far are the members from that?
"""

from torch import Tensor

from renorm.callbacks import Diagnostic
from renorm.datamodules import BlockData
from renorm.zoo import StackedModel


class Oddness(Diagnostic):
    """The mean square of (f(x) + f(-x)) / 2, the even part of each member's map, under each law trained on."""

    name = "even_part"

    def measure(self, model: StackedModel, data: BlockData) -> dict[str, Tensor]:
        blocks = {str(law): data.probe(law, 512).x.to(model.device) for law in data.train_laws}
        return {law: ((model(x) + model(-x)) / 2).square().mean(dim=1) for law, x in blocks.items()}
