package io.github.dl4jretention.teacher;

/**
 * One of a teacher's outputs.
 *
 * @param name      of the graph's output or the variable; "output" for a MultiLayerNetwork
 * @param index     among the labels of a batch
 * @param classAxis the axis on which the classes lie; -1 for the last
 */
public record TeacherOutput(String name, int index, int classAxis) {

    /** Whether the teacher's values travel in an array of their own, not with the labels. */
    boolean ownArray() {
        return classAxis < 0;
    }

    /**
     * {@return the class axis of an array of some rank, from 0}
     *
     * @param rank of the array, at least 2
     */
    public int classAxis(int rank) {
        return classAxis < 0 || rank == 2 ? rank - 1 : classAxis;
    }
}
