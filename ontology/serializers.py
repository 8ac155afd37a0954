"""What the API says and takes about vocabularies and terms."""

from typing import Any

from rest_framework import serializers

from ontology.models import Vocabulary


class VocabularyRow(serializers.ModelSerializer[Vocabulary]):
    """A vocabulary; `version` 0 means that it is not loaded yet."""

    loaded_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    file_name = serializers.CharField(source="file.name", read_only=True, default="")
    size = serializers.IntegerField(source="file.size", read_only=True, default=0, help_text="Bytes of the file.")
    url = serializers.CharField(source="get_absolute_url", read_only=True)

    class Meta:
        model = Vocabulary
        fields = (
            *("name", "version", "format", "file_name", "size", "sha256", "terms", "obsolete", "labels", "outside"),
            *("ontology", "data_version", "loaded_at", "loaded_by", "error", "failed_at", "url"),
        )
        read_only_fields = fields


class VocabularyUpload(serializers.Serializer[Any]):
    """A file, and what the vocabulary is to be called."""

    name = serializers.CharField(max_length=50)
    file = serializers.FileField(allow_empty_file=True, help_text="OBO, or OWL in RDF/XML.")


class Loading(serializers.Serializer[Any]):
    """The job that loads a vocabulary."""

    vocabulary = serializers.CharField()
    job = serializers.CharField(help_text="Id of the job.")
    url = serializers.CharField(help_text="The job in the API.")


class TermsQuery(serializers.Serializer[Any]):
    """Which terms."""

    q = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=200,
        help_text="An id, or how a name or a word of it begins.",
    )
    page = serializers.IntegerField(required=False, default=1, min_value=1, max_value=100_000)


class TermRow(serializers.Serializer[Any]):
    """A term that was found, and by which synonym if not by its name."""

    id = serializers.CharField()
    name = serializers.CharField()
    obsolete = serializers.BooleanField()
    synonym = serializers.CharField(allow_blank=True)


class TermPage(serializers.Serializer[Any]):
    """One page of terms."""

    more = serializers.BooleanField(help_text="Whether there is another page.")
    results = TermRow(many=True)


class Named(serializers.Serializer[Any]):
    """Id and name of a term; the name is empty when the vocabulary has no such term."""

    id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)


class Related(Named):
    """A term beside another one."""

    relation = serializers.CharField(allow_blank=True, help_text="is_a or part_of; empty for the term itself.")


class Synonym(serializers.Serializer[Any]):
    """Another name."""

    text = serializers.CharField()
    scope = serializers.ChoiceField(choices=["exact", "narrow", "broad", "related"])


class TermDetail(Named):
    """Everything about a term."""

    definition = serializers.CharField(allow_blank=True)
    obsolete = serializers.BooleanField()
    replaced_by = Named(many=True)
    consider = Named(many=True)
    alternative_ids = serializers.ListField(child=serializers.CharField())
    synonyms = Synonym(many=True)
    parents = Related(many=True)
    children = Related(many=True, help_text="By name; the first 200.")
    children_count = serializers.IntegerField()
    paths = serializers.ListField(child=Related(many=True), help_text="To roots, the shortest first; at most ten.")
    paths_complete = serializers.BooleanField()
