package io.github.dl4jretention.internal;

/** The classes of the largest values of a token, largest first; of equal values those of lower ids. */
public final class TopClasses {

    private final int[] ids;
    private final float[] values;
    private int size;

    /** @param capacity how many classes are kept */
    public TopClasses(int capacity) {
        ids = new int[capacity];
        values = new float[capacity];
    }

    /**
     * Replaces what was kept.
     *
     * @param token a value of each class
     */
    public void select(float[] token) {
        size = 0;
        for (int id = 0; id < token.length; id++) {
            if (size < ids.length) {
                insert(id, token[id], size++);
            } else if (token[id] > values[size - 1]) {
                insert(id, token[id], size - 1);
            }
        }
    }

    private void insert(int id, float value, int last) {
        int place = last;
        for (; place > 0 && values[place - 1] < value; place--) {
            values[place] = values[place - 1];
            ids[place] = ids[place - 1];
        }
        values[place] = value;
        ids[place] = id;
    }

    /** {@return how many are kept} */
    public int size() {
        return size;
    }

    /**
     * {@return a class}
     *
     * @param rank 0 for the largest value
     */
    public int id(int rank) {
        return ids[rank];
    }

    /**
     * {@return a value}
     *
     * @param rank 0 for the largest
     */
    public float value(int rank) {
        return values[rank];
    }
}
