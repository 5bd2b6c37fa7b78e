"""Texts from elsewhere, such as onnxruntime's errors and names in manifests, cut to a length that messages can hold."""


def excerpt(text: str, most_characters: int) -> str:
    """The text, or its beginning and its end where it is longer: what was wanted stands at the end of our messages."""
    if len(text) <= most_characters:
        return text
    half = (most_characters - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
