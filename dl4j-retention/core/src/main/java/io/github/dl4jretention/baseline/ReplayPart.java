package io.github.dl4jretention.baseline;

/** The two parts of a mixed batch. */
public enum ReplayPart {
    /** Examples of the text that is to be learned. */
    TARGET,
    /** Examples of the text that is replayed. */
    SOURCE
}
