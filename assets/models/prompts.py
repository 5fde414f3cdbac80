"""Looking for words in prompts."""

from typing import Self

from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorExact
from django.db import models
from django.db.models.functions import Collate, Left, Length
from django.db.models.lookups import Exact

READ = 100_000  # characters of a prompt: the words of much more would be an error to the database
# What divides words here. The database would take it for part of one, such as a path or the name of a host,
# or all around it for a tag that is no word: <lora:film-grain:0.8>, light/shadow, dawn.Golden.
BETWEEN_WORDS = "<>/.@&"
_SPACES = " " * len(BETWEEN_WORDS)
# The words of a prompt, as the index stores them: no stemming, since prompts mix languages and names.
PROMPT_WORDS = SearchVector(
    models.Func(
        Left("original_prompt", READ),
        models.Value(BETWEEN_WORDS),
        models.Value(_SPACES),
        function="translate",
        output_field=models.TextField(),
    ),
    config="simple",
)


def has_words(words: str) -> models.Q:
    """Every one of the words, in any order and case, as the index on words answers it."""
    return models.Q(SearchVectorExact(PROMPT_WORDS, SearchQuery(_apart(words), config="simple")))


def _apart(words: str) -> str:
    return words.translate(str.maketrans(BETWEEN_WORDS, _SPACES))


def has_letters_of(words: str) -> models.Q:
    """What every prompt with these words has, and hardly another: they are somewhere in its text.

    Told from a row many times faster than its words, and of ASCII many times faster still.
    """
    words = _apart(words)
    is_ascii = Exact(_Bytes("original_prompt"), Length("original_prompt"))
    plain = Collate("original_prompt", "C"), models.Value(words)
    in_ascii = models.ExpressionWrapper(
        models.Q(_HasLongest(*plain)) & models.Q(_HasEach(*plain)), models.BooleanField()
    )
    return models.Q(
        models.Case(
            models.When(is_ascii, then=in_ascii), default=_HasEach("original_prompt", models.Value(words))
        )
    )


class _Bytes(models.Func):
    function, output_field = "octet_length", models.IntegerField()


class _HasEach(models.Func):
    """Of the words as the database reads them, which takes others than Python does for words.

    Without those that have a sigma, whose small letter depends on what is around it, or an i without a dot,
    whose capital is ASCII in Turkish.
    """

    template = "(%(expressions)s)) AS word WHERE lexeme !~ '[σςı]')))"
    arg_joiner = (
        r" ILIKE ALL (ARRAY(SELECT chr(37) || regexp_replace(lexeme, '([\\_' || chr(37) || '])', '\\\1', 'g')"
        r" || chr(37) FROM unnest(to_tsvector('simple', "
    )
    output_field = models.BooleanField()


class _HasLongest(models.Func):
    """The same of the longest word alone: told still faster, of texts in ASCII."""

    template = (
        "(strpos(lower(%(expressions)s)) AS word"
        " WHERE lexeme !~ '[σςı]' ORDER BY length(lexeme) DESC LIMIT 1), '')) > 0)"
    )
    arg_joiner = "), coalesce((SELECT lexeme FROM unnest(to_tsvector('simple', "
    output_field = models.BooleanField()


class PromptQuerySet(models.QuerySet):
    """Rows that have a prompt."""

    def with_prompt_words(self, words: str) -> Self:
        """Those whose prompt has every one of the words, in any order and case."""
        return self.filter(has_words(words))
