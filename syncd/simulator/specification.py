"""A plausible `openapi.json`: the paths, and the fields of what they answer."""

from syncd.simulator.records import Json

_FIELDS = {
    "Conversation": "id type bucket jobId proposalId channelName updatedAt lastMessage unreadCount needsReplyCount",
    "Message": "id createdAt updatedAt conversationId jobId senderUserId isFromViewer content messageType system "
    "hasUnreadFlag attachmentCount hasAudio editedAt reactionCount",
    "Interview": "proposalId interviewId score summary messages",
    "InterviewMessage": "id role content sentAt",
    "Proposal": "id jobId jobTitle createdAt updatedAt status bid candidate metrics aiInterview verification openLabel "
    "contract",
    "Job": "id title status createdAt updatedAt proposalCounts",
    "Event": "id type apiVersion createdAt resourceId jobId data",
}
_PATHS = {
    "/messages": ("get", "post"),
    "/proposals/{proposalId}": ("get",),
    "/proposals/{proposalId}/interview": ("get",),
    "/proposals/{proposalId}/conversation": ("post",),
    "/jobs/mine": ("get",),
    "/jobs/{jobId}/proposals": ("get",),
    "/updates": ("get",),
    "/auth/me": ("get",),
    "/contracts/{contractId}": ("get",),
}


def _schema(names: str) -> Json:
    return {"type": "object", "properties": {name: {} for name in names.split()}}


SPECIFICATION: Json = {
    "openapi": "3.1.0",
    "info": {"title": "OpenTrain public API (simulated)", "version": "v1"},
    "servers": [{"url": "/api/public/v1"}],
    "paths": {
        path: {method: {"responses": {"200": {"description": "OK"}}} for method in methods}
        for path, methods in _PATHS.items()
    },
    "components": {"schemas": {name: _schema(names) for name, names in _FIELDS.items()}},
}
