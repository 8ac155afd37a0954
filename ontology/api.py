"""Vocabularies and terms over REST."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobroom.jobs.api.views import person, problems
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.models import Source
from ontology import index_reader, policies, services
from ontology.exceptions import Refused, VocabularyFailed
from ontology.models import Vocabulary
from ontology.serializers import (
    Loading,
    TermDetail,
    TermPage,
    TermsQuery,
    VocabularyRow,
    VocabularyUpload,
)
from ontology.vocabulary.index import Index

# Terms on one page.
PAGE = 100


def _visible(request: Request, name: str) -> Vocabulary:
    rows = Vocabulary.objects.visible_to(person(request)).select_related("loaded_by", "file", "index")
    return get_object_or_404(rows, name=name)


def _open(vocabulary: Vocabulary) -> Index:
    try:
        return vocabulary.open()
    except VocabularyFailed as error:
        raise NotNow(str(error)) from error


class VocabularyList(APIView):
    """All vocabularies."""

    parser_classes = (MultiPartParser,)

    @extend_schema(operation_id="list_vocabularies", responses={200: VocabularyRow(many=True), **problems(401)})
    def get(self, request: Request) -> Response:
        """List the vocabularies by name."""
        rows = Vocabulary.objects.visible_to(person(request)).select_related("loaded_by", "file")
        return Response(VocabularyRow(rows, many=True).data)

    @extend_schema(
        operation_id="load_vocabulary",
        request=VocabularyUpload,
        responses={202: Loading, **problems(400, 401, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Upload a file and launch the job that loads it."""
        if not policies.may_load(person(request)):
            raise NotAllowed(f"You may not launch {policies.LOAD}. Ask an administrator for a rule that opens it.")
        given = VocabularyUpload(data=request.data)
        given.is_valid(raise_exception=True)
        name, file = given.validated_data["name"], given.validated_data["file"]
        try:
            job = services.upload(name=name, upload=file, by=person(request), source=Source.API)
        except Refused as refused:
            raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
        address = reverse("jobroom:api:job", args=[job.pk])
        answer = {"vocabulary": name, "job": job.pk, "url": address}
        return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": address})


class VocabularyView(APIView):
    """One vocabulary."""

    @extend_schema(operation_id="show_vocabulary", responses={200: VocabularyRow, **problems(401, 404)})
    def get(self, request: Request, name: str) -> Response:
        """Show a vocabulary."""
        return Response(VocabularyRow(_visible(request, name)).data)

    @extend_schema(operation_id="delete_vocabulary", responses={204: None, **problems(401, 403, 404)})
    def delete(self, request: Request, name: str) -> Response:
        """Delete a vocabulary with its files; for the staff."""
        found = _visible(request, name)
        if not policies.may_delete(person(request)):
            raise NotAllowed("Only the staff may delete a vocabulary.")
        services.remove(vocabulary=found)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TermList(APIView):
    """The terms of one vocabulary."""

    @extend_schema(
        operation_id="list_terms",
        parameters=[TermsQuery],
        responses={200: TermPage, **problems(400, 401, 404, 409)},
    )
    def get(self, request: Request, name: str) -> Response:
        """Search terms by id, name or synonym, the best first; without `q` list all by name, 100 a page."""
        given = TermsQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        with _open(_visible(request, name)) as index:
            found = index_reader.search(index, given.validated_data["q"], given.validated_data["page"], PAGE)
        rows: list[dict[str, Any]] = [
            {**row["term"].brief(), "obsolete": row["term"].obsolete, "synonym": row["label"]} for row in found["rows"]
        ]
        return Response({"more": found["more"], "results": rows})


class TermView(APIView):
    """One term."""

    @extend_schema(operation_id="show_term", responses={200: TermDetail, **problems(401, 404, 409)})
    def get(self, request: Request, name: str, term_id: str) -> Response:
        """Show a term, also by an alternative id, with its synonyms, parents, children and paths to roots."""
        with _open(_visible(request, name)) as index:
            described = index_reader.describe(index, term_id)
        if described is None:
            raise Http404("There is no such term.")
        return Response(described)
