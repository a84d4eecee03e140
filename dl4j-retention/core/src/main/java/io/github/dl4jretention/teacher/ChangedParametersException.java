package io.github.dl4jretention.teacher;

/** Parameters that a teacher shares with a student are no longer those of the pretrained network. */
final class ChangedParametersException extends TeacherException {

    private static final long serialVersionUID = 1L;

    ChangedParametersException(String message) {
        super(message);
    }
}
