/** A value that tells its listeners when it changes. */
export class Store<T extends object> {
  private value: T;
  private readonly listeners = new Set<(value: T, previous: T) => void>();

  constructor(value: T) {
    this.value = value;
  }

  get(): Readonly<T> {
    return this.value;
  }

  set(patch: Partial<T>): void {
    const previous = this.value;
    const changed = (Object.keys(patch) as (keyof T)[]).some((k) => previous[k] !== patch[k]);
    if (!changed) return;
    this.value = { ...previous, ...patch };
    for (const listener of this.listeners) listener(this.value, previous);
  }

  /** Listen, and hear the present value at once. */
  watch(listener: (value: Readonly<T>, previous: Readonly<T>) => void): void {
    this.listeners.add(listener);
    listener(this.value, this.value);
  }

  subscribe(listener: (value: Readonly<T>, previous: Readonly<T>) => void): void {
    this.listeners.add(listener);
  }
}
