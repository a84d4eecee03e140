package io.github.dl4jretention.teacher;

/**
 * A teacher cannot give its values for a reason that lies neither in the batch nor in the student: another try may end
 * well once the teacher, or its cache, has been put right.
 */
public class TeacherException extends IllegalStateException {

    private static final long serialVersionUID = 1L;

    /** @param message what was expected of the teacher, and what was found */
    public TeacherException(String message) {
        super(message);
    }

    /**
     * @param message what was expected of the teacher, and what was found
     * @param cause   what was thrown first
     */
    public TeacherException(String message, Throwable cause) {
        super(message, cause);
    }
}
