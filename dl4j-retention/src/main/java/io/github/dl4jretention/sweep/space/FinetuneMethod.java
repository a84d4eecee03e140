package io.github.dl4jretention.sweep.space;

/** How a candidate is finetuned. */
public enum FinetuneMethod {
    /** On the cross-entropy alone, without a teacher: {@code sum CE(y, p)}. */
    PLAIN,

    /** Near the teacher: {@code sum [ CE(y, p) + lambda T^2 D(p0, p) ]}. */
    RETENTION
}
