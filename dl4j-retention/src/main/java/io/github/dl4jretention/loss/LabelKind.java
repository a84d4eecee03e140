package io.github.dl4jretention.loss;

/**
 * The forms of labels that {@link RetentionOutputLayer} takes, told apart by the size of the class axis for a
 * vocabulary of V classes.
 */
public enum LabelKind {
    /** One class id: size 1. */
    CLASS_ID(false, true),
    /** A distribution over the classes, mostly one-hot: size V. */
    DISTRIBUTION(false, false),
    /** One class id, then the teacher's V log-probabilities: size 1 + V. */
    CLASS_ID_WITH_TEACHER(true, true),
    /** A distribution over the classes, then the teacher's V log-probabilities: size 2 V. */
    DISTRIBUTION_WITH_TEACHER(true, false);

    private final boolean teacher;
    private final boolean id;

    LabelKind(boolean teacher, boolean id) {
        this.teacher = teacher;
        this.id = id;
    }

    /** Whether the labels carry the teacher's log-probabilities. */
    public boolean hasTeacher() {
        return teacher;
    }

    /** Whether the label is a class id. */
    public boolean isClassId() {
        return id;
    }

    /** Size of the class axis for a vocabulary of V classes. */
    public long size(long vocabulary) {
        return (id ? 1 : vocabulary) + (teacher ? vocabulary : 0);
    }

    /**
     * The kind that a class axis of this size has.
     *
     * @throws IllegalArgumentException if no kind has it; {@code found} describes the labels in the message
     */
    static LabelKind of(long size, long vocabulary, String found) {
        for (LabelKind kind : values()) {
            if (kind.size(vocabulary) == size) {
                return kind;
            }
        }
        throw new IllegalArgumentException("labels: expected a class axis of size 1 (class ids), " + vocabulary
                + " (one-hot), " + (1 + vocabulary) + " (ids and teacher) or " + 2 * vocabulary
                + " (distributions and teacher) for a vocabulary of " + vocabulary + ", got " + found);
    }
}
