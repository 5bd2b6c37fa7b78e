"""The recipe's sections on images: their shape, and the convolutions before the flat network."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ImageSection(BaseModel):
    """[image]: the columns are the pixels of an image: all of a channel row by row, then the next channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    channels: int = Field(default=1, ge=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class ConvolutionSection(BaseModel):
    """[[network.convolutions]]: a convolution of learned functions, as :class:`kan_model.vision.geometry.Convolution`.

    A max pooling is not among the choices: the files that explain a version are made of the equal flat network, and a
    largest value has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    channels: int = Field(ge=1)
    kernel: int = Field(default=3, ge=1)
    stride: int = Field(default=1, ge=1)
    padding: int = Field(default=1, ge=0)
    groups: int = Field(default=1, ge=1)
    pool: Literal["none", "average"] = "none"
    pool_size: int = Field(default=2, ge=1)
