"""The recipe's sections on images: their shape, and how they vary, and the convolutions before the flat network."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MOST = 1024


class ImageSection(BaseModel):
    """[image]: the columns are the pixels of an image: all of a channel row by row, then the next channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    channels: int = Field(default=1, ge=1, le=_MOST)
    height: int = Field(ge=1, le=_MOST)
    width: int = Field(ge=1, le=_MOST)


class AugmentSection(BaseModel):
    """[augment]: in each epoch every training image is changed at random, see :mod:`kan_model.vision.augmentation`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    shift: float = Field(default=0.0, ge=0.0, le=_MOST)
    rotation: float = Field(default=0.0, ge=0.0, le=180.0)
    zoom: float = Field(default=0.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not (self.shift or self.rotation or self.zoom):
            raise ValueError("wanted shift, rotation or zoom above 0")
        return self


class ConvolutionSection(BaseModel):
    """[[network.convolutions]]: a convolution of learned functions, as :class:`kan_model.vision.geometry.Convolution`.

    A max pooling is not among the choices: the files that explain a version are made of the equal flat network, and a
    largest value has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    channels: int = Field(ge=1, le=_MOST)
    kernel: int = Field(default=3, ge=1, le=31)
    stride: int = Field(default=1, ge=1, le=31)
    padding: int = Field(default=1, ge=0, le=31)
    groups: int = Field(default=1, ge=1, le=_MOST)
    pool: Literal["none", "average"] = "none"
    pool_size: int = Field(default=2, ge=1, le=_MOST)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "pool_size" in self.model_fields_set and self.pool == "none":
            raise ValueError('pool_size: only with pool = "average"')
        return self
