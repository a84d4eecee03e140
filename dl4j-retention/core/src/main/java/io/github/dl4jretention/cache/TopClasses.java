package io.github.dl4jretention.cache;

/** The classes of the largest values of a token, largest first; of equal values those of lower ids. */
final class TopClasses {

    private final int[] ids;
    private final float[] values;
    private int size;

    /** @param capacity how many classes are kept */
    TopClasses(int capacity) {
        ids = new int[capacity];
        values = new float[capacity];
    }

    /** Replaces what was kept. */
    void select(float[] token) {
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

    int size() {
        return size;
    }

    int id(int rank) {
        return ids[rank];
    }

    float value(int rank) {
        return values[rank];
    }
}
