package io.github.dl4jretention.loss;

/**
 * The forms of labels that {@link RetentionOutputLayer} takes, told apart by the size of the class axis for a
 * vocabulary of V classes. Parts lie on the class axis in the order label, teacher, weight.
 *
 * <p>For V = 2 the sizes of {@link #DISTRIBUTION_WITH_TEACHER} and {@link #CLASS_ID_WITH_TEACHER_AND_WEIGHT} are both
 * 4: such labels are the former.
 */
public enum LabelKind {
    /** One class id: size 1. */
    CLASS_ID(true, false, false),
    /** A distribution over the classes, mostly one-hot: size V. */
    DISTRIBUTION(false, false, false),
    /** One class id, then the teacher's V log-probabilities: size 1 + V. */
    CLASS_ID_WITH_TEACHER(true, true, false),
    /** A distribution over the classes, then the teacher's V log-probabilities: size 2 V. */
    DISTRIBUTION_WITH_TEACHER(false, true, false),
    /** One class id, the teacher's V log-probabilities, the weight of the token's divergence: size V + 2. */
    CLASS_ID_WITH_TEACHER_AND_WEIGHT(true, true, true),
    /** A distribution, the teacher's V log-probabilities, the weight of the token's divergence: size 2 V + 1. */
    DISTRIBUTION_WITH_TEACHER_AND_WEIGHT(false, true, true);

    private final boolean id;
    private final boolean teacher;
    private final boolean weight;

    LabelKind(boolean id, boolean teacher, boolean weight) {
        this.id = id;
        this.teacher = teacher;
        this.weight = weight;
    }

    /** {@return whether the label is a class id, not a distribution} */
    public boolean isClassId() {
        return id;
    }

    /** {@return whether the labels carry the teacher's log-probabilities} */
    public boolean hasTeacher() {
        return teacher;
    }

    /** {@return whether the divergence has weights of its own; else the label mask weighs it too} */
    public boolean hasWeight() {
        return weight;
    }

    /**
     * {@return the size of the class axis for a vocabulary of V classes}
     *
     * @param vocabulary V
     */
    public long size(long vocabulary) {
        return targetSize(vocabulary) + (teacher ? vocabulary : 0) + (weight ? 1 : 0);
    }

    /** Size of the label on the class axis: 1 or V. */
    public long targetSize(long vocabulary) {
        return id ? 1 : vocabulary;
    }

    /**
     * {@return the kind that a class axis of this size has for a vocabulary of V classes}
     *
     * @param size       of the class axis
     * @param vocabulary V
     * @param found      describes the labels in the message
     * @throws IllegalArgumentException if no kind has it
     */
    public static LabelKind of(long size, long vocabulary, String found) {
        for (LabelKind kind : values()) {
            if (kind.size(vocabulary) == size) {
                return kind;
            }
        }
        throw new IllegalArgumentException("labels: expected a class axis of size 1 (class ids), " + vocabulary
                + " (one-hot), " + (1 + vocabulary) + " (ids and teacher), " + 2 * vocabulary
                + " (distributions and teacher), " + (2 + vocabulary) + " or " + (1 + 2 * vocabulary)
                + " (with weights) for a vocabulary of " + vocabulary + ", got " + found);
    }
}
